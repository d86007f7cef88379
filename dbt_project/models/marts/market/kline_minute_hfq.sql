{{ adjusted_minutes(ref('stg_tdx__kline_minute'), backward_adjusted()) }}
