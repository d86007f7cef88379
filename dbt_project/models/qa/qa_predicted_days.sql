with trading_days as (
    select * from {{ ref('stg_tdx__trading_day') }}
),

served as (
    select trade_date from trading_days where source = 'service'
),

predicted as (
    select trade_date from trading_days where source = 'exchange_calendar'
),

spans as (
    select
        (select max(trade_date) from served) as last_served_date,
        (select min(trade_date) from predicted) as first_predicted_date
),

final as (
    select
        'predicted_day' as check_name,
        'warning' as severity,
        'trading_calendar' as subject,
        coalesce(s.trade_date, p.trade_date) as trade_date,
        case
            when s.trade_date is null then 'predicted as a trading day, but the service has none'
            else 'the service has a trading day that was not predicted'
        end as evidence
    from served as s
    full join predicted as p on s.trade_date = p.trade_date
    cross join spans as x
    where
        (s.trade_date is null and p.trade_date <= x.last_served_date)
        or (p.trade_date is null and s.trade_date >= x.first_predicted_date)
)

select * from final
