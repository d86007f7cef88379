{{ adjusted_minutes(ref('kline_60m'), forward_adjusted(), counts=['bar_count']) }}
