with recursive trading_calendar as (
    select * from {{ ref('trading_calendar') }}
),

states as (
    select * from {{ source('ops', 'ingestion_state') }}
),

-- The data of a day are due by the exchange's clock; those of option chains when the close view is
-- no longer asked for.
clocks as (
    select
        c.calendar,
        {{ as_of() }} at time zone c.zone as local_time,
        c.due_time
    from
        (
            values
            ('market', 'Asia/Shanghai', time '16:00'),
            ('futures', 'Asia/Shanghai', time '16:00'),
            (
                'options', 'America/New_York',
                {{ clock_setting('ib_close_snapshot_until', '19:00') | indent(16) }}
            )
        ) as c (calendar, zone, due_time)
),

calendars as (
    select
        'market' as calendar,
        trade_date
    from trading_calendar
    union all
    select
        'futures' as calendar,
        trading_day as trade_date
    from {{ ref('stg_tq__trading_day') }}
    union all
    select
        'options' as calendar,
        trade_date
    from {{ ref('stg_ib__session') }}
),

-- Past the end of a calendar every weekday counts: an expired calendar must not make everything
-- look fresh.
days_past_calendar as (
    select
        k.calendar,
        generate_series(
            coalesce(
                (
                    select max(c.trade_date) + 1 from calendars as c
                    where c.calendar = k.calendar
                )::timestamp,
                k.local_time
            ),
            k.local_time,
            interval '1 day'
        )::date as trade_date
    from clocks as k
),

expected_days as (
    select * from calendars
    union all
    select * from days_past_calendar where extract(isodow from trade_date) < 6
),

-- ticks and open interest are due a trading day later
due_days as (
    select
        e.calendar,
        e.trade_date,
        row_number() over (partition by e.calendar order by e.trade_date desc) as age
    from expected_days as e
    inner join clocks as c on e.calendar = c.calendar
    where e.trade_date + c.due_time <= c.local_time
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

-- by steps through the key: `distinct` would read every bar
indices as (
    select min(code) as code from {{ source('raw_tdx', 'index_kline') }}
    union all
    select (
        select min(k.code) from {{ source('raw_tdx', 'index_kline') }} as k
        where k.code > i.code
    )
    from indices as i
    where i.code is not null
),

-- a warehouse without TDX lacks nothing of it
loaded as (
    select
        'kline_daily' as dataset,
        max(trade_date) as last_date
    from {{ source('raw_tdx', 'kline_daily') }}
    having max(trade_date) is not null or exists (select 1 from states where source = 'tdx')
    union all
    select
        'trading_calendar' as dataset,
        max(trade_date) as last_date
    from trading_calendar
    where is_served
    having count(*) > 0 or exists (select 1 from states where source = 'tdx')
    union all
    select
        'index_kline' as dataset,
        max(k.trade_date) as last_date
    from indices as i
    inner join lateral (
        select b.trade_date from {{ source('raw_tdx', 'index_kline') }} as b
        where b.code = i.code and b.period = 'day'
        order by b.bar_end desc
        limit 1
    ) as k on true
    having max(k.trade_date) is not null
    union all
    -- read in full each time: as new as the last load
    select
        dataset,
        max((last_success_at at time zone 'Asia/Shanghai')::date) as last_date
    from states
    where dataset in ('codes', 'corporate_actions')
    group by dataset
    union all
    -- by their cursors: minutes and ticks are too many for a max
    select
        dataset,
        max(last_success_date) as last_date
    from states
    where
        dataset in (
            'minute_1m', 'tick_trade', 'stock_info', 'quote_snapshot', 'market_stats_snapshot',
            'kline_weekly', 'kline_monthly', 'kline_5m', 'kline_15m', 'kline_30m', 'kline_60m',
            'kline_adjusted', 'capital_events', 'sectors'
        )
    group by dataset
    union all
    select
        'main_events' as dataset,
        max(last_trading_day) as last_date
    from {{ ref('stg_tq__main_harvest') }}
    having count(*) > 0
    union all
    -- a day without ticks was requested too
    select
        'ticks' as dataset,
        max(trading_day) as last_date
    from {{ ref('tick_coverage') }}
    where coverage in ('complete', 'to_restamp', 'no_data')
    having count(*) > 0
    union all
    select
        k.dataset,
        max(r.trade_date) as last_date
    from (values ('chain_snapshot', false), ('chain_close', true)) as k (dataset, is_close)
    left join {{ ref('stg_ib__slot_run') }} as r
        on k.is_close = (r.ingest_run_type = 'close') and r.captured_count > 0
    where exists (select 1 from states where source = 'ib')
    group by k.dataset
    union all
    select
        'open_interest' as dataset,
        max(trade_date) as last_date
    from {{ ref('stg_ib__enrichment') }}
    where status = 'complete'
    having count(*) > 0
),

with_calendar as (
    select
        *,
        case
            when dataset in ('main_events', 'ticks') then 'futures'
            when dataset in ('chain_snapshot', 'chain_close', 'open_interest') then 'options'
            else 'market'
        end as calendar
    from loaded
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
