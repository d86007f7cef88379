{{ adjusted_minutes(ref('kline_60m'), forward_adjusted(), is_longer=true) }}
