select
    run_id,
    code,
    first_date,
    last_date
from {{ source('ops', 'reconciliation_sample') }}
