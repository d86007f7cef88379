{{ adjusted_minutes(ref('kline_30m'), forward_adjusted(), is_longer=true) }}
