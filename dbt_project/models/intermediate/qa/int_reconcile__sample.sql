with runs as (
    select * from {{ source('ops', 'reconciliation_runs') }}
),

samples as (
    select * from {{ source('ops', 'reconciliation_sample') }}
),

final as (
    select
        run_id,
        code,
        first_date,
        last_date
    from samples
    where run_id = (select max(r.run_id) from runs as r)
)

select * from final
