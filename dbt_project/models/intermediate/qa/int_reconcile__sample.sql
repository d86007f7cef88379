select
    run_id,
    code,
    first_date,
    last_date
from {{ source('ops', 'reconciliation_sample') }}
where run_id = (select max(run_id) from {{ source('ops', 'reconciliation_runs') }})
