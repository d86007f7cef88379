{{ adjusted_minutes(ref('stg_tdx__kline_minute'), forward_adjusted()) }}
