{{ forward_adjusted_bars(ref('kline_5m')) }}
