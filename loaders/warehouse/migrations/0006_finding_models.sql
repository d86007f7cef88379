-- The model of schema qa that found it; null where an earlier version saw it last.
alter table ops.seen_findings add column if not exists model text;
