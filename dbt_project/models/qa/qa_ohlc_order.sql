with findings as (
    select * from {{ ref('int_bars__findings') }} where check_name = 'ohlc_order'
),

final as (
    select
        check_name,
        'error' as severity,
        code as subject,
        finding_date as trade_date,
        evidence
    from findings
)

select * from final
