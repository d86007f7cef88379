select
    stage,
    decided_at,
    action,
    decided_by,
    note,
    figures
from {{ source('ops', 'option_gates') }}
