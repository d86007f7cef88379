{{ joined_period_bars('month') }}
