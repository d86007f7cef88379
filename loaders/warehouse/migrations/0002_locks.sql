-- What an advisory lock of ours is the hash of: its name and this seed. Only who may write here can
-- lock a row (loaders/warehouse/turns.py). A restore of an older dump leaves the table.
create table if not exists ops.locks (
    name text primary key,
    seed bigint not null default 0
);
