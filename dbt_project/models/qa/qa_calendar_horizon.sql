with trading_calendar as (
    select * from {{ ref('trading_calendar') }}
),

clock as (
    select ({{ as_of() }} at time zone 'Asia/Shanghai')::date as today
),

horizon as (
    select max(trade_date) as last_date from trading_calendar
),

final as (
    select
        'calendar_horizon' as check_name,
        'warning' as severity,
        'trading_calendar' as subject,
        h.last_date as trade_date,
        'the calendar ends in less than 60 days: upgrade pandas-market-calendars, then'
        || ' loaders run tdx --dataset trading_calendar' as evidence
    from horizon as h
    cross join clock as c
    where coalesce(h.last_date < c.today + 60, true)
)

select * from final
