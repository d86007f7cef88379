select
    run_id,
    started_at,
    month,
    sample,
    seed,
    as_of
from {{ source('ops', 'reconciliation_runs') }}
