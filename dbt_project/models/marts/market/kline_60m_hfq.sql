{{ backward_adjusted_bars(ref('kline_60m')) }}
