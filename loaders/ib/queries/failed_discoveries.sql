-- by symbol the newest time of a day at which scheduled discovery failed on it, or a contract of it
-- could not be looked up
select symbol, max(tried_at)
from (
    select f.symbol, (j.parameters #>> '{options,at}')::timestamptz as tried_at
    from ops.ingestion_jobs as j
    inner join ops.ingestion_job_tasks as t using (job_id)
    cross join lateral jsonb_each_text(t.failures) as f (symbol, reason)
    where j.source = 'ib' and j.lane = %(lane)s
        and j.parameters #>> '{options,date}' = %(day)s::text
        and j.parameters #>> '{options,at}' is not null
        -- a lost gateway fails every symbol left with the reason that ended the job
        and coalesce(not starts_with(j.error, f.reason), true)
    union all
    select symbol, asked_at
    from raw_ib.unresolved_contract
    where trade_date = %(day)s::text::date and error_type is not null
) as tried
group by symbol
