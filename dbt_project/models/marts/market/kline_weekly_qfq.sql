{{ adjusted_bars_of_period('week') }}
