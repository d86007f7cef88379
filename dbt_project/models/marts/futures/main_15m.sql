{{ main_bars(15) }}
