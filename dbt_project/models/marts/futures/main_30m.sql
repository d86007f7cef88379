{{ main_bars(30) }}
