{{ adjusted_minutes(ref('kline_5m'), forward_adjusted(), is_longer=true) }}
