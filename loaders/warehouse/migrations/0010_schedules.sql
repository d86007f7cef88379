-- A job's row keeps its next start. What the job did last is its newest row of ops.runs.
create index if not exists runs_schedule_idx on ops.runs (schedule, started_at desc)
where schedule is not null;

do $$
begin
    if exists (
        select 1 from pg_attribute
        where attrelid = 'ops.schedules'::regclass and attname = 'due_through' and not attisdropped
    ) then
        -- a start that waited for the end of a run is due
        update ops.schedules set next_run_at = least(next_run_at, queued_at)
        where queued_at is not null and is_enabled;
        -- so is one that was taken by a process that died before it recorded the run
        update ops.schedules as s set next_run_at = s.last_run_at
        where
            s.is_enabled and s.next_run_at is not null
            and s.last_finished_at is null and s.attempts = 1
            and not exists (
                select 1 from ops.runs as r
                where r.schedule = s.name and r.started_at >= s.last_run_at - interval '1 minute'
            );
        -- a run that was cut off and is not to be repeated: it was, or its job was disabled
        update ops.runs as r
        set finished_at = r.started_at, exit_code = 130, error = 'cut off'
        from ops.schedules as s
        where
            r.schedule = s.name and r.finished_at is null and s.last_finished_at is null
            and s.attempts >= 2 and r.started_at >= s.last_run_at - interval '1 minute'
            and not exists (
                select 1 from pg_locks as l
                where
                    l.locktype = 'advisory' and l.objsubid = 1 and l.granted
                    and (l.classid::bigint << 32) | l.objid::bigint
                    = hashtextextended('quotemill:run:' || r.run_id, 0)
            );
    end if;
end
$$;

create or replace view ops.testing_schedules as
select
    s.name, s.source, s.kind, s.timing, s.is_enabled,
    (select max(r.started_at) from ops.runs as r where r.schedule = s.name) as last_run_at
from ops.schedules as s
where s.kind in ('selftest', 'verify');

alter table ops.schedules
drop column if exists due_through,
drop column if exists queued_at,
drop column if exists last_run_at,
drop column if exists last_finished_at,
drop column if exists last_exit_code,
drop column if exists last_host,
drop column if exists attempts;
comment on column ops.schedules.timing is
'the rule as it was last seen: by another one starts count from then on';
comment on column ops.schedules.next_run_at is
'the next start, by the rule or of a run to repeat; null where no scheduler has looked yet';
comment on column ops.schedules.missed_at is 'the newest start that was not made';
