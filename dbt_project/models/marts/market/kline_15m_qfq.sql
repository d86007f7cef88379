{{ adjusted_minutes(ref('kline_15m'), forward_adjusted(), is_longer=true) }}
