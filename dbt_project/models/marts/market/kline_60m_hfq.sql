{{ adjusted_minutes(
    ref('kline_60m'), backward_adjusted(), counts=['bar_count'], last=['source_minutes']
) }}
