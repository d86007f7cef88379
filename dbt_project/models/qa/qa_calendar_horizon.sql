with clock as (
    select ({{ as_of() }} at time zone 'Asia/Shanghai')::date as today
),

-- The service knows no future days, so each source that predicts them ends at another day; without
-- such a source the service is the only one.
horizons as (
    select
        source,
        max(trade_date) as last_date
    from {{ ref('stg_tdx__trading_day') }}
    where source = 'exchange_calendar'
    group by source
    union all
    select
        'service' as source,
        max(trade_date) as last_date
    from {{ ref('stg_tdx__trading_day') }}
    having count(*) > 0 and count(*) filter (where source = 'exchange_calendar') = 0
)

select
    'calendar_horizon' as check_name,
    'warning' as severity,
    'trading_calendar' as subject,
    h.last_date as trade_date,
    format(
        'the trading calendar (%s) ends in less than three weeks; fix: install a version of '
        'pandas-market-calendars that has next year, then quotemill run tdx', h.source
    ) as evidence
from horizons as h
cross join clock as c
where h.last_date < c.today + 21
