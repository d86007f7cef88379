{{ main_bars(1) }}
