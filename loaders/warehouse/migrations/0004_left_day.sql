-- The running day that a continuous aggregate leaves to readers, until a later build takes it.
alter table ops.change_cursors add column if not exists left_day date;
