{#- of each dataset that is judged by its rows: their table, its time, and when they are due -#}
{%- set by_rows = {
    'minute_1m': (ref('stg_tdx__kline_minute'), 'bar_end', 0),
    'tick_trade': (ref('stg_tdx__tick_trade'), 'trade_date', 1),
    'quote_snapshot': (ref('stg_tdx__quote'), 'sampled_at', 'null'),
    'market_stats_snapshot': (ref('stg_tdx__market_stats'), 'sampled_at', 'null'),
} -%}
with recursive states as (
    select * from {{ ref('stg_ops__ingestion_state') }}
),

-- No row is newer than the newest cursor of its dataset; a search from far before would open the
-- compressed chunks of hypertables.
searched_since as (
    select
        dataset,
        max(last_success_date) - 40 as first_date
    from states
    group by dataset
),

-- by steps through the key: `distinct` would read every bar
indices as (
    select min(code) as code from {{ ref('stg_tdx__index_kline') }}
    union all
    select (
        select min(k.code) from {{ ref('stg_tdx__index_kline') }} as k
        where k.code > i.code
    )
    from indices as i
    where i.code is not null
),

trading_days as (
    select trade_date from {{ ref('trading_calendar') }}
),

-- by what readers see, not by what landed; a warehouse without TDX lacks nothing of it
loaded as (
    select
        'kline_daily' as dataset,
        max(trade_date) as last_date,
        0 as due_after
    from {{ ref('kline_daily_qfq') }}
    having max(trade_date) is not null or exists (select 1 from states where source = 'tdx')
    union all
    select
        'trading_calendar' as dataset,
        max(trade_date) as last_date,
        0 as due_after
    from {{ ref('trading_calendar') }}
    where is_served
    having count(*) > 0 or exists (select 1 from states where source = 'tdx')
    union all
    select
        'index_kline' as dataset,
        max(k.trade_date) as last_date,
        0 as due_after
    from indices as i
    inner join lateral (
        select b.trade_date from {{ ref('stg_tdx__index_kline') }} as b
        where b.code = i.code and b.period = 'day'
        order by b.bar_end desc
        limit 1
    ) as k on true
    having max(k.trade_date) is not null
    union all
    -- read in full each time: as new as the last load
    select
        dataset,
        max((last_success_at at time zone 'Asia/Shanghai')::date) as last_date,
        0 as due_after
    from states
    where dataset = 'codes'
    group by dataset
    union all
    -- most stocks pay once a year: ten without an event for 13 months have an old source of events
    select
        'corporate_actions' as dataset,
        max(a.ex_date) as last_date,
        case
            when (
                select count(*) from (
                    select 1 from {{ ref('symbol_dim') }} as s
                    where s.instrument_type = 'stock' and s.is_listed
                    order by s.code
                    limit 10
                ) as listed
            ) = 10 then 270
        end as due_after
    from {{ ref('corporate_actions') }} as a
    having max(a.ex_date) is not null
    union all
    {%- for dataset, (relation, time, due_after) in by_rows.items() %}
        select
            '{{ dataset }}' as dataset,
            (
                select max(r.trade_date) from {{ relation }} as r
                where r.{{ time }} >= (
                    select s.first_date from searched_since as s where s.dataset = '{{ dataset }}'
                )
            ) as last_date,
            {{ due_after }} as due_after
        from searched_since
        where dataset = '{{ dataset }}'
        union all
    {%- endfor %}
    -- loaded on demand: bars of periods, of which a key names code and period
    select
        s.dataset,
        max(k.trade_date) as last_date,
        null as due_after
    from states as s
    left join lateral (
        select b.trade_date from {{ ref('stg_tdx__kline_period') }} as b
        where b.code = split_part(s.key, ' ', 1) and b.period = split_part(s.key, ' ', 2)
        order by b.bar_end desc
        limit 1
    ) as k on true
    where
        s.dataset in (
            'minute_5m', 'kline_weekly', 'kline_monthly', 'kline_5m', 'kline_15m', 'kline_30m',
            'kline_60m'
        )
    group by s.dataset
    union all
    -- and what else is
    select
        dataset,
        max(last_success_date) as last_date,
        null as due_after
    from states
    where dataset in ('stock_info', 'kline_adjusted', 'capital_events', 'sectors')
    group by dataset
),

{{ judged_freshness('tdx', 'Asia/Shanghai', "time '16:00'") }}
