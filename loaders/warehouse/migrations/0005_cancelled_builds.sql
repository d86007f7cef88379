-- A build that was stopped is cancelled, as a load is; interrupted ones were killed.
alter table ops.builds drop constraint if exists builds_status_check;
alter table ops.builds add constraint builds_status_check
check (status in ('running', 'succeeded', 'failed', 'cancelled', 'interrupted'));
