-- name and verdict of the check behind an alert, whose sentence and fix are message and command;
-- empty: of an older version
alter table ops.alerts add column name text not null default '';
alter table ops.alerts add column verdict text not null default '';
