{{ joined_period_bars('week') }}
