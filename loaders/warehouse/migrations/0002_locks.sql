-- What an advisory lock of ours is the hash of: its name and this seed (loaders/warehouse/turns.py).
-- Only who may write here can lock a row.
create table ops.locks (
    name text primary key,
    seed bigint not null default 0
);
