{{ config(
    materialized='followed',
    unique_key=['trade_date'],
    meta={'by': 'trade_date'},
) }}

-- each source alone can have gaps
with known_days as (
    select
        trade_date,
        bool_or(source in ('service', 'client')) as is_served,
        bool_or(source = 'service') as is_of_service,
        bool_or(source = 'exchange_calendar') as is_published
    from {{ ref('stg_tdx__trading_day') }}
    group by trade_date
),

-- after the newest known day the calendar is late
other_days as (
    select
        o.*,
        (select max(k.trade_date) from known_days as k where k.trade_date < o.trade_date)
            as known_date
    from {{ ref('int_bars__outside_calendar') }} as o
    where o.trade_date < (select max(k.trade_date) from known_days as k)
),

counted as (
    select
        o.*,
        (
            select count(*) from {{ ref('stg_tdx__kline_daily') }} as b
            where b.trade_date = o.known_date and left(b.code, 2) = o.exchange
        ) as codes_before
    from other_days as o
),

-- A single stray record proves nothing. But until 1995 Shenzhen had days of its own, and few
-- stocks: a bar is proof (as FIRST_COMMON_DAY in loaders/trading_time.py).
own_days as (
    select
        trade_date,
        string_agg(exchange, ',' order by exchange) as exchanges
    from counted
    where
        (exchange = 'sz' and trade_date < date '1996-01-01')
        or (code_count >= 3 and code_count * 2 > codes_before)
    group by trade_date
),

days as (
    select
        coalesce(k.trade_date, o.trade_date) as trade_date,
        coalesce(k.is_served, false) as is_served,
        coalesce(k.is_of_service, false) as is_of_service,
        coalesce(k.is_published, false) as is_published,
        o.exchanges
    from known_days as k
    full join own_days as o on k.trade_date = o.trade_date
)

-- a day of some exchanges alone neither moves the days around it nor is counted
select
    trade_date,
    case
        when is_of_service then 'service'
        when is_served then 'client'
        when is_published then 'exchange_calendar'
        else 'bars'
    end as source,
    max(trade_date) filter (where exchanges is null) over earlier as previous_trade_date,
    min(trade_date) filter (where exchanges is null) over later as next_trade_date,
    (count(*) filter (where exchanges is null) over (order by trade_date))::integer
        as trade_day_number,
    is_served,
    is_published,
    exchanges
from days
window
    earlier as (order by trade_date rows between unbounded preceding and 1 preceding),
    later as (order by trade_date desc rows between unbounded preceding and 1 preceding)
