{{ index_period_bars('month') }}
