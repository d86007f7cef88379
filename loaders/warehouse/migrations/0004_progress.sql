-- What holds the keys of a running load, such as a service that is away; who watches it reads it.
alter table ops.ingestion_jobs add column if not exists held_by text;
-- How far a running build is: its models, seeds and tests, and the one that runs longest.
alter table ops.builds add column if not exists nodes integer;
alter table ops.builds add column if not exists nodes_done integer;
alter table ops.builds add column if not exists node text;
