with rejected as (
    select * from {{ source('raw_tdx', 'rejected_row') }}
),

final as (
    select
        'rejected_row' as check_name,
        'warning' as severity,
        dataset || ' ' || row_key as subject,
        null::date as trade_date,
        format('%s = %s breaks the rule: %s', field, coalesce(value, 'null'), rule) as evidence
    from rejected
)

select * from final
