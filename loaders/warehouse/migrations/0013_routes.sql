-- The names of routes: minutes and ticks have numbers in the place of texts, this one and that of the
-- file (ops.landed_files). What a dump of an older version is restored over keeps its names.
create table if not exists ops.routes (
    route_no smallint generated always as identity primary key,
    route text not null unique
);
