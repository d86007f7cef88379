-- the last run of each scheduled job or command that has ended
select distinct on (coalesce(r.schedule, r.command))
    coalesce(r.schedule, r.command) as name, r.command, r.host, r.started_at, r.finished_at,
    r.exit_code, r.error,
    {status} as status, r.schedule is not null as is_scheduled,
    lag(r.exit_code) over (
        partition by coalesce(r.schedule, r.command) order by r.started_at
    ) as code_before, exists (
        -- its check ended: what a channel refused is in the book
        select 1 from ops.metrics as m
        where m.run_id = r.run_id and m.stage = 'alerts' and m.name = 'unsent_messages'
    ) as has_reported, (
        select m.value from ops.metrics as m
        where m.run_id = r.run_id and m.stage = 'logscan' and m.name = 'error_kinds'
    ) as error_kinds
from ops.runs as r
where r.started_at between %(since)s and %(until)s
    and r.build_id is null and r.run_id is distinct from %(run_id)s and {status} <> 'running'
order by coalesce(r.schedule, r.command), r.started_at desc
