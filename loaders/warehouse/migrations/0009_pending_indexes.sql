-- Indexes of landed tables that are declared and not there: an import dropped them, or they were declared
-- when the table had rows already. Written in the transaction that drops; a load's end builds them.

drop table if exists ops.pending_indexes; -- of an older dump restored over it
create table ops.pending_indexes (
    schema_name text not null,
    index_name text not null,
    table_name text not null,
    definition text not null,
    lane text, -- of the load that dropped it: while that one runs, nobody else builds it
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (schema_name, index_name)
);
