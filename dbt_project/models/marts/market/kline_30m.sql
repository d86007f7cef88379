{{ minute_bars(30, ref('kline_5m'), 'sum(bar_count)', follows='kline_5m') }}
