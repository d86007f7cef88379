with bars as (
    select * from {{ ref('kline_daily') }} where volume_flag = 'unreliable'
),

-- the early turnover is recorded on another par value: one line per code says so
early as (
    select
        code,
        count(*) as bar_count,
        min(trade_date) as trade_date,
        max(trade_date) as last_date
    from bars
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
        'volume_mismatch' as check_name,
        'warning' as severity,
        code as subject,
        trade_date,
        format(
            '%s yuan for %s shares between %s and %s', amount_cny, volume_shares, low, high
        ) as evidence
    from bars
    where trade_date >= date '1994-01-01'
)

select * from final
