-- Keys whose newest load failed; a load of the key that succeeds deletes its row. The numbers grow:
-- a larger one means that another key failed.
create table ops.failed_keys (
    failure_id bigint generated always as identity primary key,
    source text not null,
    dataset text not null,
    key text not null,
    reason text not null,
    first_job_id bigint not null, -- the load in which it failed first
    job_id bigint not null, -- the newest load in which it failed
    first_failed_at timestamptz not null default clock_timestamp(),
    acknowledged_at timestamptz,
    acknowledged_by text,
    acknowledged_because text,
    unique (source, dataset, key)
);

insert into ops.failed_keys (
    source, dataset, key, reason, first_job_id, job_id, first_failed_at
)
select source, dataset, key, reason, job_id, job_id, started_at
from (
    select distinct on (j.source, t.dataset, k.key)
        j.source, t.dataset, k.key, t.failures ->> k.key as reason, t.job_id, j.started_at
    from ops.ingestion_job_tasks as t
    inner join ops.ingestion_jobs as j on t.job_id = j.job_id
    cross join lateral unnest(t.keys[1:t.done + t.skipped + t.failed]) as k (key)
    -- keys of ib name a moment that passed; unknown codes are of one request
    where j.started_at > now() - interval '35 days'
        and j.source <> 'ib' and t.dataset <> 'unknown_codes'
    order by j.source, t.dataset, k.key, t.job_id desc
) as newest
where reason is not null
order by job_id;

-- causes of a machine have its name now; those that are still wrong are sent again under it
delete from ops.alerts
where cause in ('settings', 'settings_file', 'schedule', 'warehouse', 'calendar')
    or cause like any (array['disk:%', 'settings:%', 'schedule:%']);
