-- Jobs of any source: lanes with a lock each, keys instead of codes, cursors as ordered text.

alter table ops.ingestion_jobs drop constraint ingestion_jobs_mode_check;
alter table ops.ingestion_jobs add column lane text;
update ops.ingestion_jobs set lane = source;
alter table ops.ingestion_jobs alter column lane set not null;

alter table ops.ingestion_job_tasks rename column codes to keys;

alter table ops.ingestion_state add column cursor text;
update ops.ingestion_state set cursor = last_success_date::text;
-- where a warehouse was built before, views of qa read the column until the next build: it stays, unread
do $$ begin
    alter table ops.ingestion_state drop column cursor_payload;
exception when dependent_objects_still_exist then null;
end $$;
