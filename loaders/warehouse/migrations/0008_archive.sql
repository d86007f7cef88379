-- What of the option chains lies in Parquet files, and where. A row is written once its file was read back.

create table ops.archive_files (
    schema_name text not null, -- that of the views: options
    path text not null, -- below the archive's folder
    view_name text not null,
    codec text not null check (codec in ('snappy', 'zstd')),
    row_count bigint not null,
    content_hash text not null, -- of its rows in any order (orchestration/archive/content.py)
    size_bytes bigint not null,
    is_below_target boolean not null default false, -- compacted, and smaller than it should be
    written_at timestamptz not null default clock_timestamp(),
    primary key (schema_name, path)
);

-- the rows of an underlying on a day: a file of their own, or a part of a compacted one
create table ops.archive_partitions (
    schema_name text not null,
    view_name text not null,
    partition_date date not null,
    underlying text not null,
    exchange text not null,
    path text not null,
    row_count bigint not null,
    content_hash text not null,
    archived_at timestamptz not null default clock_timestamp(),
    is_stale boolean not null default false, -- changed in the warehouse since: the next run looks
    dropped_at timestamptz, -- retention took its rows from the warehouse
    restored_at timestamptz, -- and they were brought back
    primary key (schema_name, view_name, partition_date, underlying, exchange),
    foreign key (schema_name, path) references ops.archive_files deferrable initially deferred
);
create index archive_partitions_path_idx on ops.archive_partitions (schema_name, path);

-- files that are about to take the place of others; what is found here was cut short, and is finished
create table ops.archive_swaps (
    swap_id bigint generated always as identity primary key,
    schema_name text not null,
    plan jsonb not null,
    begun_at timestamptz not null default clock_timestamp()
);
