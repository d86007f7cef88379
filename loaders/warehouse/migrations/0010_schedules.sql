-- What became of the jobs that settings and code define: orchestration/schedule/ledger.py writes it.

drop table if exists ops.schedules cascade; -- of an older dump restored over it
create table ops.schedules (
    name text primary key,
    source text,
    kind text not null default 'run', -- the command's own name
    is_enabled boolean not null default true,
    cron text, -- five fields in Shanghai's time: a job, or another rule for one that ships, put here by SQL
    options jsonb not null default '{}', -- and its command's
    timing text, -- the rule as it was last seen; by another one starts count anew
    due_through timestamptz, -- starts up to here were made, or let go
    queued_at timestamptz, -- a start that waits for the end of the run before it
    last_run_at timestamptz,
    last_finished_at timestamptz, -- null while it runs, or where it was cut off
    last_exit_code integer,
    last_host text,
    attempts integer not null default 0, -- at the last start: 2 where the first was cut off
    missed_at timestamptz, -- the newest start that nobody made
    next_run_at timestamptz
);

-- the one row of a new warehouse is a job that ships
insert into ops.schedules (
    name, source, kind, is_enabled, cron, options, due_through, last_run_at, last_finished_at
)
select
    case name when 'weekly self-test' then 'tdx_selftest' else name end,
    source,
    kind,
    is_enabled,
    cron,
    options,
    last_run_at,
    last_run_at,
    last_run_at
from ops.testing_schedules;
update ops.testing_runs set schedule = 'tdx_selftest' where schedule = 'weekly self-test';

drop table ops.testing_schedules;
create view ops.testing_schedules as
select name, source, kind, cron, options, is_enabled, last_run_at
from ops.schedules
where kind in ('selftest', 'verify')
with cascaded check option;
