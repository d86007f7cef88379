{{ adjusted_period_bars('month') }}
