{{ adjusted_minutes(
    ref('kline_5m'), backward_adjusted(), counts=['bar_count'], last=['source_minutes']
) }}
