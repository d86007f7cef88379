{{ forward_adjusted_bars(ref('kline_30m')) }}
