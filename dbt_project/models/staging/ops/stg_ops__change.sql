select
    xid,
    table_name,
    key,
    dates,
    changed_at
from {{ source('ops', 'changes') }}
