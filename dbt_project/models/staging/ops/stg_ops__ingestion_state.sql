select
    source,
    dataset,
    key,
    cursor,
    last_success_date,
    last_success_at
from {{ source('ops', 'ingestion_state') }}
