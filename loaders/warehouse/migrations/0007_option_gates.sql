-- Who opened or closed a stage of the option chains, when, and on which figures. The newest row of a stage
-- holds.
create table ops.option_gates (
    stage integer not null check (stage between 1 and 3),
    decided_at timestamptz not null default clock_timestamp(),
    action text not null check (action in ('open', 'close')),
    decided_by text not null,
    note text,
    figures jsonb not null,
    primary key (stage, decided_at)
);
