{{ adjusted_minutes(
    ref('kline_5m'), forward_adjusted(), counts=['bar_count'], last=['source_minutes']
) }}
