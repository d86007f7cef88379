{{ adjusted_period_bars('week') }}
