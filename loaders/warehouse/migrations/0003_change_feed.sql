-- One append-only feed of what changed in which table, in place of triggers and their queue.

-- Written in the transaction that changed the rows. Transaction ids order the feed: what a reader has
-- not seen is what its last snapshot could not see, so a change in flight is neither skipped nor waited
-- for. They are this cluster's own: loaders/warehouse/migrate.py empties both tables in another one.
drop table if exists ops.changes, ops.change_cursors; -- of an older dump restored over them
create table ops.changes (
    xid xid8 not null default pg_current_xact_id(),
    table_name text not null, -- raw_tdx.kline_daily, market.kline_daily_qfq
    key text not null default '', -- code, contract …; empty: every one
    dates datemultirange not null default '{(,)}',
    changed_at timestamptz not null default clock_timestamp()
);
create index changes_table_idx on ops.changes (table_name, xid);
create index changes_age_idx on ops.changes using brin (changed_at);

-- how far a reader has come: a model as schema.name, a build, a name that an outside reader chose
create table ops.change_cursors (
    reader text primary key,
    seen pg_snapshot not null,
    fingerprint text, -- of the query that read; another one reads everything
    moved_at timestamptz not null default clock_timestamp()
);

-- no cursor yet: the next build reads everything, so what the queue still held is not lost
drop function if exists quotemill_intermediate.queue_changed_bars() cascade;
drop function if exists quotemill_intermediate.queue_changed_days() cascade;
drop function if exists quotemill_intermediate.queue_changed_minutes() cascade;
drop function if exists quotemill_intermediate.queue_changed_ticks() cascade;
drop function if exists quotemill_intermediate.queue_changed_vendor_bars() cascade;
drop function if exists quotemill_intermediate.queue_changed_compared_bars() cascade;
drop table if exists quotemill_intermediate.change_queue;
drop table if exists quotemill_intermediate.applied_adjustment;
drop table if exists quotemill_intermediate.applied_known_actions;

-- a cursor in the feed says how far a build has come
alter table ops.builds drop column landed_up_to;
