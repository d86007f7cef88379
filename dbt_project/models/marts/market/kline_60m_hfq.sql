{{ adjusted_minutes(ref('kline_60m'), backward_adjusted(), is_longer=true) }}
