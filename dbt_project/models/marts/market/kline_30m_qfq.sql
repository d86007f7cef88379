{{ adjusted_minutes(
    ref('kline_30m'), forward_adjusted(), counts=['bar_count'], last=['source_minutes']
) }}
