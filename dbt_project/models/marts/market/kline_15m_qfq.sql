{{ adjusted_minutes(
    ref('kline_15m'), forward_adjusted(), counts=['bar_count'], last=['source_minutes']
) }}
