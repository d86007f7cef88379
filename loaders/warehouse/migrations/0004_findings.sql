-- What each run judged, and the findings seen so far: a run rings for new ones only.

drop table if exists ops.seen_findings, ops.runs; -- of an older dump restored over them
create table ops.runs (
    run_id bigint generated always as identity primary key,
    qa_schema text not null, -- whose findings: a database may hold several market schemas
    judged_at timestamptz not null default clock_timestamp(),
    found integer not null, -- rows of its table `findings`
    found_new integer not null -- of these, not there when the run before judged
);

-- one row for each finding that qa.findings has had since it was first seen; gone with it
create table ops.seen_findings (
    finding_id bigint generated always as identity primary key,
    qa_schema text not null,
    check_name text not null,
    severity text not null,
    subject text not null,
    trade_date date, -- null also where the finding is about a state, whose date moves on
    evidence_hash text not null, -- tells findings of one check, subject and date apart
    first_seen_at timestamptz not null default clock_timestamp(),
    first_run bigint references ops.runs, -- null until a run has judged it
    is_told boolean not null default false, -- a run's exit code was 5 for it, or 0 in spite of it
    acknowledged_at timestamptz,
    acknowledged_by text,
    reason text
);
create index seen_findings_key_idx on ops.seen_findings
(qa_schema, check_name, subject, trade_date);
