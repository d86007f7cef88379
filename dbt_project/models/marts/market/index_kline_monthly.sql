-- no CTE: see stg_tdx__kline_daily
{{ index_period_bars('month') }}
