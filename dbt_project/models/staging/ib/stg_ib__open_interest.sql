select
    conid,
    oi_asof_date,
    symbol,
    open_interest,
    captured_at,
    ingest_id,
    is_final
from {{ source('raw_ib', 'open_interest') }}
