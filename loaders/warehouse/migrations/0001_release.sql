-- Schema ops: what loads, builds and runs record of themselves. People read these tables.

create table ops.settings (
    key text primary key,
    value text
);

create table ops.ingestion_jobs (
    job_id bigint generated always as identity primary key,
    source text not null,
    mode text not null,
    status text not null check (
        status in ('running', 'succeeded', 'partial', 'failed', 'cancelled', 'interrupted')
    ),
    requested_by text not null,
    parameters jsonb not null,
    retry_of bigint references ops.ingestion_jobs,
    as_of timestamptz not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    cancel_requested_at timestamptz,
    error text,
    lane text not null, -- loads of a lane wait for each other
    cancel_after_task integer -- stop after it; cancel_requested_at stops after the batch
);
create index ingestion_jobs_source_idx on ops.ingestion_jobs (source, started_at desc);

create table ops.ingestion_job_tasks (
    job_id bigint not null references ops.ingestion_jobs on delete cascade,
    task_no integer not null,
    dataset text not null,
    exchange text,
    keys text[] not null default '{}',
    status text not null check (
        status in ('pending', 'running', 'succeeded', 'partial', 'failed', 'skipped', 'cancelled')
    ),
    done integer not null default 0,
    skipped integer not null default 0,
    failed integer not null default 0,
    rows_read bigint not null default 0,
    rows_new bigint not null default 0,
    rows_changed bigint not null default 0,
    failures jsonb not null default '{}',
    started_at timestamptz,
    finished_at timestamptz,
    cursor_payload jsonb not null default '{}', -- key, cursor, package when it was last recorded
    fetched integer not null default 0, -- keys that have an answer, landed or not
    primary key (job_id, task_no)
);

create table ops.ingestion_logs (
    log_id bigint generated always as identity primary key,
    job_id bigint references ops.ingestion_jobs on delete cascade,
    task_no integer,
    logged_at timestamptz not null default clock_timestamp(),
    level text not null,
    event text not null,
    detail jsonb not null default '{}'
);
create index ingestion_logs_job_idx on ops.ingestion_logs (job_id);

create table ops.ingestion_state (
    source text not null,
    dataset text not null,
    key text not null,
    last_success_date date,
    last_success_at timestamptz,
    cursor text, -- orders as text
    primary key (source, dataset, key)
);

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

-- one row for each file of rows that was committed, written in the transaction of its rows
create table ops.landed_files (
    file_no bigint generated always as identity unique,
    file_id text primary key,
    load_id text not null,
    schema_name text not null,
    table_name text not null,
    rows_read bigint not null,
    rows_new bigint not null,
    rows_changed bigint not null,
    landed_at timestamptz not null default clock_timestamp()
);
create index landed_files_load_idx on ops.landed_files (load_id);

-- the names of routes: minutes and ticks hold this number and that of the file instead of texts
create table ops.routes (
    route_no smallint generated always as identity primary key,
    route text not null unique
);

-- Indexes of landed tables that are declared and absent: an import dropped them, or the table had
-- rows when they were declared. Written in the transaction that drops; a load's end builds them.
create table ops.pending_indexes (
    schema_name text not null,
    index_name text not null,
    table_name text not null,
    definition text not null,
    lane text, -- of the load that dropped it: while it runs, no other builds it
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (schema_name, index_name)
);

-- The change feed, append-only, written in the transaction that changed the rows. Transaction ids
-- order it: a reader has not seen what its last snapshot could not see, so a change in flight is
-- neither skipped nor waited for. The ids are this cluster's own: loaders/warehouse/migrate.py
-- empties both tables in another one.
create table ops.changes (
    xid xid8 not null default pg_current_xact_id(),
    table_name text not null, -- raw_tdx.kline_daily, market.kline_daily_qfq
    key text not null default '', -- code, contract …; empty: every one
    dates datemultirange not null default '{(,)}',
    changed_at timestamptz not null default clock_timestamp()
);
create index changes_table_idx on ops.changes (table_name, xid);
create index changes_age_idx on ops.changes using brin (changed_at);
-- for outside readers of market.changes, who ask for numbers above the last that they have seen
create index changes_no_idx on ops.changes ((xid::text::bigint), table_name);

-- how far a reader has come: a model as schema.name, a build, a name that an outside reader chose
create table ops.change_cursors (
    reader text primary key,
    seen pg_snapshot not null,
    fingerprint text, -- of the query that read; another one reads everything
    moved_at timestamptz not null default clock_timestamp(),
    left_day date -- the running day that a continuous aggregate leaves to readers
);

-- relations that dbt built: what is not listed here is never replaced
create table ops.managed_relation (
    schema_name text not null,
    relation_name text not null,
    recorded_at timestamptz not null default now(),
    primary key (schema_name, relation_name)
);

create table ops.builds (
    build_id bigint generated always as identity primary key,
    status text not null check (status in ('running', 'succeeded', 'failed', 'interrupted')),
    command text not null,
    fingerprint text not null, -- of the dbt project; 'part' where only some models were named
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    models_built integer,
    rows_written bigint,
    tests_passed integer,
    tests_warned integer,
    tests_failed integer,
    error text
);

-- each time that findings were judged; a run reports new ones only
create table ops.judgements (
    judgement_id bigint generated always as identity primary key,
    qa_schema text not null, -- whose findings: a database may hold several market schemas
    judged_at timestamptz not null default clock_timestamp(),
    found integer not null, -- rows of its table `findings`
    found_new integer not null -- of these, absent from the judgement before
);

-- one row for each finding that qa.findings has had since it was first seen; removed with it
create table ops.seen_findings (
    finding_id bigint generated always as identity primary key,
    qa_schema text not null,
    check_name text not null,
    severity text not null,
    subject text not null,
    trade_date date, -- null also where the finding is about a state, whose date moves on
    evidence_hash text not null, -- separates findings of one check, subject and date
    first_seen_at timestamptz not null default clock_timestamp(),
    first_run bigint references ops.judgements, -- null until it was judged
    is_told boolean not null default false, -- a run's exit code was 5 for it, or 0 in spite of it
    acknowledged_at timestamptz,
    acknowledged_by text,
    reason text,
    model text -- of schema qa, which found it
);
create index seen_findings_key_idx on ops.seen_findings
(qa_schema, check_name, subject, trade_date);

create table ops.runs (
    run_id text primary key, -- 20261121T093000-4f2a: when it started (UTC), and a random part
    schedule text, -- the scheduled job that started it
    command text not null,
    host text not null,
    pid integer not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz, -- null: it runs, or its process died (its advisory lock is free)
    exit_code integer,
    error text
);
create index runs_started_idx on ops.runs (started_at desc);

-- no reference to ops.runs: a dump restored over both replaces one of them first
create table ops.metrics (
    run_id text not null,
    stage text not null,
    source text not null default '', -- empty where the stage is not of one source
    name text not null,
    value numeric not null,
    unit text not null,
    measured_at timestamptz not null default clock_timestamp(),
    primary key (run_id, stage, source, name)
);

-- a row for each cause that ever raised an alert; it is resolved where recovered_at is set
create table ops.alerts (
    cause text primary key,
    severity text not null check (severity in ('error', 'warning')),
    message text not null,
    command text not null, -- the one that shows more
    state text not null default '', -- a change of it, such as an exit code, is sent again
    patience integer not null default 1, -- checks in a row that must see it before it is sent
    first_at timestamptz not null,
    last_at timestamptz not null, -- last seen
    count integer not null default 1, -- checks that saw it since first_at
    channels text[] not null default '{}', -- that have taken the current message
    told_at timestamptz, -- when all channels had taken it; null: still to be sent
    is_known boolean not null default false, -- any channel has ever taken it
    recovered_at timestamptz,
    recovery_told_at timestamptz
);

-- the jobs that settings and code define; orchestration/schedule/ledger.py writes it
create table ops.schedules (
    name text primary key,
    source text,
    kind text not null default 'run', -- the command's own name
    is_enabled boolean not null default true,
    timing text, -- the rule as it was last seen; by another one starts count from the beginning
    due_through timestamptz, -- starts up to here were made, or skipped
    queued_at timestamptz, -- a start that waits for the end of the run before it
    last_run_at timestamptz,
    last_finished_at timestamptz, -- null while it runs, or where it was cut off
    last_exit_code integer,
    last_host text,
    attempts integer not null default 0, -- at the last start: 2 where the first was cut off
    missed_at timestamptz, -- the newest start that was not made
    next_run_at timestamptz
);

create view ops.testing_schedules as
select name, source, kind, timing, is_enabled, last_run_at
from ops.schedules
where kind in ('selftest', 'verify');

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

-- Who opened or closed a stage of the option chains, when, and on which figures. The newest row of
-- a stage holds.
create table ops.option_gates (
    stage integer not null check (stage between 1 and 3),
    decided_at timestamptz not null default clock_timestamp(),
    action text not null check (action in ('open', 'close')),
    decided_by text not null,
    note text,
    figures jsonb not null,
    primary key (stage, decided_at)
);

-- Parquet files of the archive. A row is written once its file was read back.
create table ops.archive_files (
    schema_name text not null, -- that of the views: options
    path text not null, -- below the archive's folder
    view_name text not null,
    codec text not null check (codec in ('snappy', 'zstd')),
    row_count bigint not null,
    content_hash text not null, -- of its rows in any order (orchestration/archive/content.py)
    size_bytes bigint not null,
    is_below_target boolean not null default false, -- compacted, and smaller than it should be
    written_at timestamptz not null default clock_timestamp(),
    primary key (schema_name, path)
);

-- the rows of an underlying on a day: an own file, or a part of a compacted one
create table ops.archive_partitions (
    schema_name text not null,
    view_name text not null,
    partition_date date not null,
    underlying text not null,
    exchange text not null,
    path text not null,
    row_count bigint not null,
    content_hash text not null,
    archived_at timestamptz not null default clock_timestamp(),
    is_stale boolean not null default false, -- changed in the warehouse since: checked next
    dropped_at timestamptz, -- retention took its rows from the warehouse
    restored_at timestamptz, -- and they were brought back
    primary key (schema_name, view_name, partition_date, underlying, exchange),
    foreign key (schema_name, path) references ops.archive_files deferrable initially deferred
);
create index archive_partitions_path_idx on ops.archive_partitions (schema_name, path);

-- files that are about to replace others; a row that is left was cut short, and is finished
create table ops.archive_swaps (
    swap_id bigint generated always as identity primary key,
    schema_name text not null,
    plan jsonb not null,
    begun_at timestamptz not null default clock_timestamp()
);

-- Exports that follow corrections: what is written where. How far a folder is says its manifest.
create table ops.exports (
    name text primary key,
    market_schema text not null,
    what text not null, -- a table or a query
    form text not null,
    codes text[] not null default '{}', -- empty: every one
    since date,
    adjust text not null,
    folder text not null unique,
    created_at timestamptz not null default clock_timestamp()
);
