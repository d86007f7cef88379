{{ main_bars(5) }}
