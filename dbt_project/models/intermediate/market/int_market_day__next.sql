{{ config(
    materialized='followed',
    unique_key=['next_trade_date'],
    meta={'by': 'next_trade_date'},
) }}

-- a table, so that the change feed shows when weeks and months end
select next_trade_date
from {{ ref('int_market_day__latest') }}
where next_trade_date is not null
