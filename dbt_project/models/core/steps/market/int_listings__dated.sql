{{ config(
    materialized='followed',
    unique_key=['code'],
) }}

-- one index scan per code and table; an aggregate would read every row
with dated as (
    select
        s.code,
        s.exchange,
        s.instrument_type,
        s.price_decimals,
        (
            select b.trade_date from {{ ref('stg_tdx__kline_daily') }} as b
            where b.code = s.code order by b.trade_date limit 1
        ) as first_trade_date,
        -- the record of the listing: no share was tradable before it
        (
            select e.event_date from {{ ref('stg_tdx__capital_event') }} as e
            where e.code = s.code and e.category = 5 and e.value1 = 0 and e.value3 > 0
            order by e.event_date limit 1
        ) as event_date,
        (
            select e.event_date from {{ ref('stg_tdx__capital_event') }} as e
            where e.code = s.code
            order by e.event_date limit 1
        ) as first_event_date
    from {{ ref('stg_tdx__security') }} as s
),

-- On the first day loaded of an exchange every code has its first bar; and a code with events or
-- days without a trade before its first bar was listed then.
with_start as (
    select
        *,
        first_trade_date > min(first_trade_date) filter (where instrument_type = 'stock')
            over (partition by exchange)
        and first_trade_date <= coalesce(first_event_date, first_trade_date)
        and not exists (
            select 1 from {{ ref('stg_tdx__untraded_day') }} as u
            where u.code = d.code and u.trade_date < d.first_trade_date
        ) as begins_later
    from dated as d
)

select
    code,
    exchange,
    instrument_type,
    price_decimals,
    first_trade_date,
    case
        when event_date is not null then event_date
        when begins_later then first_trade_date
    end as list_date,
    case
        when event_date is not null then 'capital_event'
        when begins_later then 'first_bar'
    end as list_date_basis
from with_start
