select
    code,
    exchange,
    trim(name) as name,
    instrument_type,
    is_listed,
    fetched_at
from {{ source('raw_tdx', 'security') }}
