{{ config(
    materialized='followed',
    unique_key=['run_id', 'check_name', 'code', 'period', 'bar_end', 'field'],
) }}

select
    run_id,
    check_name,
    case
        when
            likely_cause in (
                'unfinished_bar', 'noon_label', 'price_only_minutes', 'first_week_of_year',
                'vendor_at_another_day', 'small_volume_decoding'
            )
            then 'info'
        else 'warning'
    end as severity,
    code,
    period,
    trade_date,
    bar_end,
    field,
    ours,
    theirs,
    ours - theirs as difference,
    likely_cause,
    evidence
from {{ ref('int_reconcile__fields') }}
where is_different
