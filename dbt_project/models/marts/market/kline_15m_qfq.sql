{{ forward_adjusted_bars(ref('kline_15m')) }}
