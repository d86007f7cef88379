with trading_calendar as (
    select * from {{ ref('trading_calendar') }}
),

states as (
    select * from {{ source('ops', 'ingestion_state') }}
),

clock as (
    select {{ as_of() }} at time zone 'Asia/Shanghai' as local_time
),

-- past the end of the calendar every weekday counts: a calendar that is not renewed must not make
-- everything look fresh
days_past_calendar as (
    select
        generate_series(
            coalesce((select max(trade_date) + 1 from trading_calendar)::timestamp, local_time),
            local_time,
            interval '1 day'
        )::date as trade_date
    from clock
),

expected_days as (
    select trade_date from trading_calendar
    union all
    select trade_date from days_past_calendar where extract(isodow from trade_date) < 6
),

-- the data of a day are due at 16:00 of the exchange; its ticks a trading day later
due_days as (
    select e.trade_date
    from expected_days as e
    cross join clock as c
    where e.trade_date + time '16:00' <= c.local_time
    order by e.trade_date desc
    limit 2
),

due as (
    select
        max(trade_date) as expected_date,
        min(trade_date) as expected_tick_date
    from due_days
),

-- who has nothing of TDX lacks nothing of it
loaded as (
    select
        'kline_daily' as dataset,
        max(trade_date) as last_date
    from {{ source('raw_tdx', 'kline_daily') }}
    having count(*) > 0 or exists (select from states where source = 'tdx')
    union all
    select
        'trading_calendar' as dataset,
        max(trade_date) as last_date
    from trading_calendar
    where is_served
    having count(*) > 0 or exists (select from states where source = 'tdx')
    union all
    select
        'index_kline' as dataset,
        max(trade_date) as last_date
    from {{ source('raw_tdx', 'index_kline') }}
    where period = 'day'
    having count(*) > 0
    union all
    -- read in full each time: as new as the last reading
    select
        dataset,
        max((last_success_at at time zone 'Asia/Shanghai')::date) as last_date
    from states
    where dataset in ('codes', 'corporate_actions')
    group by dataset
    union all
    -- by their cursors: minutes and ticks are too many to ask for the newest
    select
        dataset,
        max(last_success_date) as last_date
    from states
    where
        dataset in (
            'minute_1m', 'tick_trade', 'stock_info', 'quote_snapshot', 'market_stats_snapshot',
            'kline_weekly', 'kline_monthly', 'kline_5m', 'kline_15m', 'kline_30m', 'kline_60m',
            'kline_adjusted'
        )
    group by dataset
),

-- of what is only loaded on demand nothing is due
judged as (
    select
        l.dataset,
        l.last_date,
        case
            when
                l.dataset in (
                    'kline_daily', 'trading_calendar', 'index_kline', 'codes', 'corporate_actions',
                    'minute_1m'
                )
                then d.expected_date
            when l.dataset = 'tick_trade' then d.expected_tick_date
            else l.last_date
        end as expected_date
    from loaded as l
    cross join due as d
)

select
    l.dataset,
    l.last_date,
    l.expected_date,
    coalesce(l.last_date < l.expected_date, true) as is_stale,
    case
        when l.last_date is not null then (
            select count(*)::integer from expected_days as e
            where e.trade_date > l.last_date and e.trade_date <= l.expected_date
        )
    end as lag_trading_days
from judged as l
