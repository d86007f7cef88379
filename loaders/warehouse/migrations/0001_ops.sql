-- What the loaders and the builds record of themselves. People read these tables; `status` prints them.

create table ops.settings (
    key text primary key,
    value text
);

create table ops.ingestion_jobs (
    job_id bigint generated always as identity primary key,
    source text not null,
    mode text not null check (mode in ('init', 'incremental', 'retry')),
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
    error text
);
create index ingestion_jobs_source_idx on ops.ingestion_jobs (source, started_at desc);

create table ops.ingestion_job_tasks (
    job_id bigint not null references ops.ingestion_jobs on delete cascade,
    task_no integer not null,
    dataset text not null,
    exchange text,
    codes text[] not null default '{}',
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
    cursor_payload jsonb not null default '{}',
    primary key (source, dataset, key)
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
    landed_up_to bigint not null, -- the newest of ops.landed_files that it can have seen
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    models_built integer,
    rows_written bigint,
    tests_passed integer,
    tests_warned integer,
    tests_failed integer,
    error text
);
