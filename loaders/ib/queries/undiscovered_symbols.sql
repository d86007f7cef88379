-- symbols whose newest failure in discovery was their own, not the loss of the gateway
with newest as (
    select job_id, error
    from ops.ingestion_jobs
    where source = 'ib' and lane = %(lane)s and status <> 'running'
    order by job_id desc
    limit %(jobs)s
),

failures as (
    -- a symbol that was never requested fails with the reason that ended the job, whose record
    -- has a hint behind it
    select
        f.key as symbol,
        job_id,
        bool_or(coalesce(not starts_with(error, f.value), true)) as is_own
    from newest
    inner join ops.ingestion_job_tasks as t using (job_id)
    cross join lateral jsonb_each_text(t.failures) as f
    where t.dataset in ('underlying', 'contract')
    group by f.key, job_id
)

select symbol
from (select distinct on (symbol) * from failures order by symbol, job_id desc) as latest
where is_own
