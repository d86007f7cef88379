{{ minute_bars(15, ref('kline_5m'), 'sum(bar_count)', follows='kline_5m') }}
