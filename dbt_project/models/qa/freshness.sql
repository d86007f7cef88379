with expected_days as (
    select * from {{ ref('int_trading_days__expected') }}
),

-- ticks and open interest are due a trading day later
due_days as (
    select
        calendar,
        trade_date,
        row_number() over (partition by calendar order by trade_date desc) as age
    from expected_days
    where is_due
),

due as (
    select
        calendar,
        max(trade_date) as expected_date,
        min(trade_date) as expected_later_date
    from due_days
    where age <= 2
    group by calendar
),

with_calendar as (
    select
        *,
        case
            when dataset in ('main_events', 'ticks') then 'futures'
            when dataset in ('chain_snapshot', 'chain_close', 'open_interest') then 'options'
            else 'market'
        end as calendar
    from {{ ref('int_datasets__loaded') }}
),

-- datasets loaded only on demand are never due
judged as (
    select
        l.dataset,
        l.last_date,
        l.calendar,
        case
            when
                l.dataset in (
                    'kline_daily', 'trading_calendar', 'index_kline', 'codes', 'corporate_actions',
                    'minute_1m', 'main_events', 'chain_snapshot', 'chain_close'
                )
                then d.expected_date
            when l.dataset in ('tick_trade', 'ticks', 'open_interest') then d.expected_later_date
            else l.last_date
        end as expected_date
    from with_calendar as l
    left join due as d on l.calendar = d.calendar
)

select
    l.dataset,
    case l.calendar when 'futures' then 'tq' when 'options' then 'ib' else 'tdx' end as source,
    l.last_date,
    l.expected_date,
    coalesce(l.last_date < l.expected_date, l.last_date is null and l.expected_date is not null)
        as is_stale,
    case
        when l.last_date is not null then (
            select count(*)::integer from expected_days as e
            where
                e.calendar = l.calendar
                and e.trade_date > l.last_date
                and e.trade_date <= l.expected_date
        )
    end as lag_trading_days
from judged as l
