-- median time of a batch in the captures of the newest sessions
with newest as (
    select distinct trade_date
    from raw_ib.slot_run
    where ingest_run_type = %(run_type)s
    order by trade_date desc
    limit %(sessions)s
),

captures as (
    -- contracts with errors do not count: they may never have been requested, for lack of time
    select
        extract(epoch from max(finished_at) - started_at)
        / ceil(sum(captured) / %(batch_size)s::numeric) as seconds
    from raw_ib.slot_run
    where trade_date in (select trade_date from newest)
        and ingest_run_type = %(run_type)s and attempts = 1
    group by sample_time, started_at
    having sum(captured) > 0
)

select percentile_cont(0.5) within group (order by seconds) from captures
