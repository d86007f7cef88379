{{ adjusted_minutes(ref('kline_15m'), backward_adjusted(), is_longer=true) }}
