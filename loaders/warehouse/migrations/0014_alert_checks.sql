-- name and verdict of the check behind an alert, whose sentence and fix are message and command;
-- empty: of an older version
alter table ops.alerts add column if not exists name text not null default '';
alter table ops.alerts add column if not exists verdict text not null default '';
