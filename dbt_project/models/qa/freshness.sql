with bars as (
    select * from {{ source('raw_tdx', 'kline_daily') }}
),

index_bars as (
    select * from {{ source('raw_tdx', 'index_kline') }}
),

trading_calendar as (
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

-- the data of a day are due at 16:00 of the exchange
due as (
    select max(e.trade_date) as expected_date
    from expected_days as e
    cross join clock as c
    where e.trade_date + time '16:00' <= c.local_time
),

loaded as (
    select
        'kline_daily' as dataset,
        max(trade_date) as last_date
    from bars
    union all
    select
        'trading_calendar' as dataset,
        max(trade_date) as last_date
    from trading_calendar
    where source = 'service'
    union all
    select
        'index_kline' as dataset,
        max(trade_date) as last_date
    from index_bars
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
),

final as (
    select
        l.dataset,
        l.last_date,
        d.expected_date,
        coalesce(l.last_date < d.expected_date, true) as is_stale,
        case
            when l.last_date is not null then (
                select count(*)::integer from expected_days as e
                where e.trade_date > l.last_date and e.trade_date <= d.expected_date
            )
        end as lag_trading_days
    from loaded as l
    cross join due as d
)

select * from final
