select
    code,
    event_date,
    category,
    seq,
    value1,
    value2,
    value3,
    value4,
    fetched_at
from {{ source('raw_tdx', 'capital_event') }}
