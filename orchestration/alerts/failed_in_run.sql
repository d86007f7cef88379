-- keys that failed in the loads of a run, unless they are acknowledged
select distinct
    j.source, t.dataset, k.key
from ops.ingestion_jobs as j
inner join ops.ingestion_job_tasks as t on j.job_id = t.job_id
cross join lateral jsonb_object_keys(t.failures) as k (key)
left join ops.failed_keys as f on j.source = f.source and t.dataset = f.dataset and k.key = f.key
where f.acknowledged_at is null
    and j.source = any(%(sources)s)
    and j.started_at between %(started_at)s and %(finished_at)s
    and j.requested_by = (
        select o.requested_by
        from ops.ingestion_jobs as o
        where o.source = any(%(sources)s)
            and o.started_at between %(started_at)s and %(finished_at)s
            and o.requested_by like '%%@' || %(host)s || ' pid %%'
        order by o.started_at
        limit 1
    )
