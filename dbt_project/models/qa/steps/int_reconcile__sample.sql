select
    run_id,
    code,
    first_date,
    last_date
from {{ ref('stg_ops__reconciliation_sample') }}
where run_id = (select max(run_id) from {{ ref('stg_ops__reconciliation_run') }})
