{{ config(
    materialized='followed',
    unique_key=['code', 'trade_date'],
    meta={'follows': {'raw_tdx.kline_daily': 'day'}, 'by': 'trade_date'},
) }}

-- a table, as to find these few days every bar is read
select
    code,
    trade_date
from {{ changed(ref('stg_tdx__untraded_day')) }}
