{{ adjusted_bars_of_period('month') }}
