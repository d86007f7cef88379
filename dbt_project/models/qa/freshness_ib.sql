with trading_days as (
    select trade_date from {{ ref('stg_ib__session') }}
),

loaded as (
    select
        k.dataset,
        case
            when max(r.trade_date) is not null
                then least(
                    max(r.trade_date), (select max(trade_date) from {{ ref('chain_daily_clean') }})
                )
        end as last_date,
        0 as due_after
    from (values ('chain_snapshot', false), ('chain_close', true)) as k (dataset, is_close)
    left join {{ ref('stg_ib__slot_run') }} as r
        on k.is_close = (r.ingest_run_type = 'close') and r.captured_count > 0
    where exists (select 1 from {{ ref('stg_ops__ingestion_state') }} where source = 'ib')
    group by k.dataset
    union all
    select
        'open_interest' as dataset,
        max(trade_date) as last_date,
        1 as due_after
    from {{ ref('stg_ib__enrichment') }}
    where status in ('complete', 'provisional')
    having count(*) > 0
),

{# due when the close view is no longer asked for -#}
{{ judged_freshness(
    'ib', 'America/New_York', setting('ib_close_snapshot_until', "time '19:00'", 'time')
) }}
