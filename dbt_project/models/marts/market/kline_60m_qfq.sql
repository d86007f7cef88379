{{ adjusted_minutes(
    ref('kline_60m'), forward_adjusted(), counts=['bar_count'], last=['source_minutes']
) }}
