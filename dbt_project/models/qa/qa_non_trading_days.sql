-- read by index only: a table named twice would be copied
with recursive bars as not materialized (
    select * from {{ ref('stg_tdx__kline_daily') }}
),

trading_calendar as (
    select * from {{ ref('trading_calendar') }}
),

-- by steps from day to day through the index: reading every bar for a few thousand days is slow
days as (
    select min(trade_date) as trade_date from bars
    union all
    select (select min(b.trade_date) from bars as b where b.trade_date > d.trade_date)
    from days as d
    where d.trade_date is not null
),

known as (
    select
        min(trade_date) as first_date,
        max(trade_date) as last_date
    from trading_calendar
),

wrong_days as (
    select d.trade_date
    from days as d
    cross join known as k
    left join trading_calendar as c on d.trade_date = c.trade_date
    where c.trade_date is null and d.trade_date between k.first_date and k.last_date
)

select
    'non_trading_day' as check_name,
    'error' as severity,
    b.code as subject,
    b.trade_date,
    'a bar on a day that is not in the calendar' as evidence
from bars as b
inner join wrong_days as w on b.trade_date = w.trade_date
