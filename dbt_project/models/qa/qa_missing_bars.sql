with findings as (
    select * from {{ ref('int_bars__findings') }} where check_name = 'missing_bars'
),

final as (
    select
        check_name,
        'warning' as severity,
        code as subject,
        finding_date as trade_date,
        evidence
    from findings
)

select * from final
