select
    dataset,
    row_key,
    field,
    rule,
    value,
    is_withdrawn is true as is_withdrawn,
    fetched_at
from {{ source('raw_ib', 'rejected_row') }}
