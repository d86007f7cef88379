with trading_days as (
    select trading_day as trade_date from {{ ref('stg_tq__trading_day') }}
),

loaded as (
    select
        'main_events' as dataset,
        max(trading_day) as last_date,
        0 as due_after
    from {{ ref('main_schedule') }}
    having count(*) > 0 or exists (select 1 from {{ ref('stg_tq__main_harvest') }})
    union all
    -- a day without ticks was requested too
    select
        'ticks' as dataset,
        max(trading_day) as last_date,
        1 as due_after
    from {{ ref('tick_coverage') }}
    where coverage in ('complete', 'short', 'to_restamp', 'no_data')
    having count(*) > 0
),

{{ judged_freshness('tq', 'Asia/Shanghai', "time '16:00'") }}
