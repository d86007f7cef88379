-- Loads while the market trades, where a task stands, and the record of self-tests and comparisons.

alter table ops.ingestion_jobs drop constraint ingestion_jobs_mode_check;
alter table ops.ingestion_jobs add constraint ingestion_jobs_mode_check
check (mode in ('init', 'incremental', 'realtime', 'retry'));

-- where the task stood when it was last written down: code, date, page (package of rows)
alter table ops.ingestion_job_tasks add column cursor_payload jsonb not null default '{}';

create table ops.testing_schedules (
    name text primary key,
    source text not null,
    kind text not null check (kind in ('selftest', 'verify')),
    cron text not null, -- five fields, in the exchange's zone
    options jsonb not null default '{}',
    is_enabled boolean not null default true,
    last_run_at timestamptz
);
insert into ops.testing_schedules (name, source, kind, cron)
values ('weekly self-test', 'tdx', 'selftest', '30 9 * * sat');

create table ops.testing_runs (
    run_id bigint generated always as identity primary key,
    source text not null,
    kind text not null check (kind in ('selftest', 'verify')),
    schedule text,
    started_at timestamptz not null,
    finished_at timestamptz,
    base_url text,
    status text not null check (status in ('passed', 'failed', 'error')),
    total integer not null,
    passed integer not null,
    failed integer not null,
    skipped integer not null,
    fingerprint text,
    options jsonb not null default '{}',
    detail jsonb not null default '{}'
);

create table ops.testing_logs (
    run_id bigint not null references ops.testing_runs on delete cascade,
    no integer not null,
    name text not null,
    status text not null check (status in ('passed', 'failed', 'skipped')),
    elapsed_ms integer,
    reason text,
    evidence jsonb not null default '{}',
    primary key (run_id, no)
);

create table ops.reconciliation_runs (
    run_id bigint generated always as identity primary key,
    started_at timestamptz not null default clock_timestamp(),
    as_of timestamptz not null,
    month date not null,
    sample integer not null,
    seed bigint not null
);

create table ops.reconciliation_sample (
    run_id bigint not null references ops.reconciliation_runs on delete cascade,
    code text not null,
    first_date date not null,
    last_date date not null,
    primary key (run_id, code)
);
