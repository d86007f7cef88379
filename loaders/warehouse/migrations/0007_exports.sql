-- Exports that follow corrections: what is written where. How far a folder is says its manifest.
create table if not exists ops.exports (
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
