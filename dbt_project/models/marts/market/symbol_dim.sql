{{ config(
    materialized='incremental',
    unique_key=['code'],
) }}

select
    s.code,
    s.exchange,
    s.name,
    s.instrument_type,
    s.price_decimals,
    case
        when s.instrument_type = 'stock' then {{ stock_currency('s.code') }} else 'CNY'
    end as currency,
    s.is_listed,
    -- one index scan per code and end; an aggregate would read every bar
    (
        select b.trade_date from {{ source('raw_tdx', 'kline_daily') }} as b
        where b.code = s.code order by b.trade_date limit 1
    ) as first_trade_date,
    (
        select b.trade_date from {{ source('raw_tdx', 'kline_daily') }} as b
        where b.code = s.code order by b.trade_date desc limit 1
    ) as last_trade_date
from {{ ref('stg_tdx__security') }} as s
