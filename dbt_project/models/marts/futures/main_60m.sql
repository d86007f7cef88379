{{ main_bars(60) }}
