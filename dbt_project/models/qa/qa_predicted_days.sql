-- the service has no future days, and neither source those before its first
with spans as (
    select
        min(trade_date) filter (where is_served) as first_served_date,
        max(trade_date) filter (where is_served) as last_served_date,
        min(trade_date) filter (where is_published) as first_published_date
    from {{ ref('trading_calendar') }}
)

select
    'predicted_day' as check_name,
    'warning' as severity,
    'trading_calendar' as subject,
    c.trade_date,
    case
        when c.is_served
            then
                'the source lists a trading day that the exchange has not published; fix: upgrade '
                || 'pandas-market-calendars, or if the exchange was closed, delete the day from '
                || 'raw_tdx.trading_day, then quotemill touch raw_tdx.trading_day'
        else
            'published as a trading day, but the source does not list it; fix: loaders run tdx '
            || '--dataset trading_calendar, unless the exchange was closed'
    end as evidence
from {{ ref('trading_calendar') }} as c
cross join spans as x
where
    c.exchanges is null
    and (
        (not c.is_served and c.trade_date between x.first_served_date and x.last_served_date)
        or (not c.is_published and c.trade_date >= x.first_published_date)
    )
