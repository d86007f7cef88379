with findings as (
    select * from {{ ref('int_bars__findings') }} where check_name = 'volume_mismatch'
),

-- the early turnover is recorded on another par value: one line per code says so
early as (
    select
        code,
        count(*) as bar_count,
        min(trade_date) as trade_date,
        max(trade_date) as last_date
    from findings
    where trade_date < date '1994-01-01'
    group by code
),

final as (
    select
        'volume_mismatch' as check_name,
        'info' as severity,
        code as subject,
        trade_date,
        bar_count || ' bars until ' || last_date || ' with turnover on another basis than volume'
            as evidence
    from early
    union all
    select
        check_name,
        'warning' as severity,
        code as subject,
        trade_date,
        evidence
    from findings
    where trade_date >= date '1994-01-01'
)

select * from final
