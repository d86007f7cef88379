{{ adjusted_minutes(ref('kline_30m'), backward_adjusted(), is_longer=true) }}
