-- no CTE: see stg_tdx__kline_daily
select * from {{ ref('stg_tdx__kline_daily') }}
