-- Runs of `quotemill run` and of schedules, what their stages came to, and what people were told of them.

-- of an older dump restored over them
drop table if exists ops.metrics, ops.alerts, ops.judgements;

-- what this name held so far: each judging of findings
alter table ops.runs rename to judgements;
alter table ops.judgements rename column run_id to judgement_id;
alter table ops.judgements rename constraint runs_pkey to judgements_pkey;
alter sequence ops.runs_run_id_seq rename to judgements_judgement_id_seq;

create table ops.runs (
    run_id text primary key, -- 20261121T093000-4f2a: when it began (UTC), and a random part
    schedule text, -- the scheduled job that started it
    command text not null,
    host text not null,
    pid integer not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz, -- null: it runs, or its process is gone (its advisory lock tells)
    exit_code integer,
    error text
);
create index runs_started_idx on ops.runs (started_at desc);

-- no reference to ops.runs: an older dump that is restored over both replaces one of them
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

-- a row for each cause there ever was; it is over where recovered_at is set
create table ops.alerts (
    cause text primary key,
    severity text not null check (severity in ('error', 'warning')),
    message text not null,
    command text not null, -- the one that shows more
    state text not null default '', -- what is told anew once it changes: an exit code
    patience integer not null default 1, -- looks in a row that find it before it is told
    first_at timestamptz not null,
    last_at timestamptz not null, -- seen for the last time
    count integer not null default 1, -- looks that found it since first_at
    channels text[] not null default '{}', -- that have taken what is to be told now
    told_at timestamptz, -- when all channels had; null: it is to be told still
    is_known boolean not null default false, -- any channel has ever taken it
    recovered_at timestamptz,
    recovery_told_at timestamptz
);
