{{ minute_bars(5, ref('stg_tdx__kline_minute'), 'count(*)', follows='raw_tdx.kline_minute') }}
