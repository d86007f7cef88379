{{ adjusted_minutes(
    ref('kline_15m'), backward_adjusted(), counts=['bar_count'], last=['source_minutes']
) }}
