{{ config(
    materialized='followed',
    unique_key=['trade_date'],
    meta={'by': 'trade_date'},
) }}

-- each source alone can have gaps
with days as (
    select
        trade_date,
        bool_or(source in ('service', 'client')) as is_served,
        bool_or(source = 'service') as is_of_service,
        bool_or(source = 'exchange_calendar') as is_published
    from {{ ref('stg_tdx__trading_day') }}
    group by trade_date
)

select
    trade_date,
    case
        when is_of_service then 'service'
        when is_served then 'client'
        else 'exchange_calendar'
    end as source,
    lag(trade_date) over (order by trade_date) as previous_trade_date,
    lead(trade_date) over (order by trade_date) as next_trade_date,
    (row_number() over (order by trade_date))::integer as trade_day_number,
    is_served,
    is_published
from days
