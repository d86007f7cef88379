{{ adjusted_minutes(ref('kline_60m'), backward_adjusted(), counts=['bar_count']) }}
