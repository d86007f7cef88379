-- The task after which a job is asked to stop; cancel_requested_at stops it after its batch.
alter table ops.ingestion_jobs add column if not exists cancel_after_task integer;
