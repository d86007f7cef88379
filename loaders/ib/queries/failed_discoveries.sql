-- by symbol the time of the newest scheduled discovery of a day that failed on it
select f.symbol, max((j.parameters #>> '{options,at}')::timestamptz)
from ops.ingestion_jobs as j
inner join ops.ingestion_job_tasks as t using (job_id)
cross join lateral jsonb_each_text(t.failures) as f (symbol, reason)
where j.source = 'ib' and j.lane = %(lane)s and j.parameters #>> '{options,date}' = %(day)s
    and j.parameters #>> '{options,at}' is not null
    -- a lost gateway fails every symbol left with the reason that ended the job
    and f.reason is distinct from j.error
group by f.symbol
