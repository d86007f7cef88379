{{ adjusted_minutes(ref('kline_5m'), backward_adjusted(), is_longer=true) }}
