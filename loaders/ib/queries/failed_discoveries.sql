-- by symbol the newest time of a day at which scheduled discovery failed on it
select f.symbol, max((j.parameters #>> '{options,at}')::timestamptz)
from ops.ingestion_jobs as j
inner join ops.ingestion_job_tasks as t using (job_id)
cross join lateral jsonb_each_text(t.failures) as f (symbol, reason)
where j.source = 'ib' and j.lane = %(lane)s
    and j.parameters #>> '{options,date}' = %(day)s::text
    and j.parameters #>> '{options,at}' is not null
    -- a lost gateway fails every symbol left with the reason that ended the job
    and coalesce(not starts_with(j.error, f.reason), true)
group by f.symbol
