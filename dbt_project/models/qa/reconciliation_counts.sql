with bars as (
    select
        run_id,
        check_name,
        period,
        code,
        bar_end,
        bool_or(is_different) as is_different
    from {{ ref('int_reconcile__fields') }}
    group by run_id, check_name, period, code, bar_end
)

select
    run_id,
    check_name,
    period,
    count(*)::integer as compared_count,
    (count(*) filter (where is_different))::integer as differing_count
from bars
group by run_id, check_name, period
