select
    schema_name,
    view_name,
    partition_date,
    underlying,
    exchange,
    path,
    row_count,
    content_hash,
    archived_at,
    is_stale,
    dropped_at,
    restored_at
from {{ source('ops', 'archive_partitions') }}
