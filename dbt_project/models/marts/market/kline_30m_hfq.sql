{{ adjusted_minutes(
    ref('kline_30m'), backward_adjusted(), counts=['bar_count'], last=['source_minutes']
) }}
