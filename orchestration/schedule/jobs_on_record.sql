select
    s.name,
    s.source,
    s.kind,
    s.is_enabled,
    s.timing,
    s.next_run_at,
    s.missed_at,
    newest.started_at as last_run_at,
    newest.finished_at as last_finished_at,
    newest.exit_code as last_exit_code,
    newest.host as last_host,
    exists (
        select 1 from ops.runs as r
        where
            r.schedule = s.name and r.started_at >= coalesce(newest.started_at, %(until)s)
            and {status} = 'running'
    ) as is_running,
    (
        select p.finished_at is null from ops.runs as p
        where p.schedule = s.name and p.started_at < newest.started_at
        order by p.started_at desc limit 1
    ) is true as is_repeat,
    s.missed_at > %(until)s is true or exists (
        select 1 from ops.runs as a where a.schedule = s.name and a.started_at > %(until)s
    ) as is_ahead
from ops.schedules as s
left join lateral (
    select * from ops.runs as o
    where o.schedule = s.name and o.started_at <= %(until)s
    order by o.started_at desc limit 1
) as newest on true
order by s.name
