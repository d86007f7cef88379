with bars as (
    select * from {{ ref('kline_daily') }}
),

final as (
    select
        'ohlc_order' as check_name,
        'error' as severity,
        code as subject,
        trade_date,
        format('open %s high %s low %s close %s', open, high, low, close) as evidence
    from bars
    where high < greatest(open, low, close) or low > least(open, high, close) or low <= 0
)

select * from final
