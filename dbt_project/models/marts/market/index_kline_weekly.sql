{{ index_period_bars('week') }}
