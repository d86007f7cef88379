select
    (value::jsonb ->> 'run_id')::bigint as run_id,
    jsonb_array_elements_text(value::jsonb -> 'codes') as code,
    (value::jsonb ->> 'first_date')::date as first_date,
    (value::jsonb ->> 'last_date')::date as last_date
from {{ ref('stg_ops__setting') }}
where key = 'reconciliation:newest'
