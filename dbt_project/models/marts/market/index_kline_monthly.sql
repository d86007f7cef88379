-- no CTE: see stg_tdx__kline_daily
{{ index_bars_of_period('month') }}
