-- How many keys of a task have an answer, landed or not: what follows a load from another terminal.
alter table ops.ingestion_job_tasks add column fetched integer not null default 0;
