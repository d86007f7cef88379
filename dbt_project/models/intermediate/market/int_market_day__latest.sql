-- read by index only: PostgreSQL would copy a table named twice
with bars as not materialized (
    select * from {{ source('raw_tdx', 'kline_daily') }}
),

trading_calendar as (
    select * from {{ ref('trading_calendar') }}
),

-- a bar on a day that is no trading day must not move the market's day
latest_trading_day as (
    select c.trade_date
    from trading_calendar as c
    where exists (select from bars as b where b.trade_date = c.trade_date)
    order by c.trade_date desc
    limit 1
),

final as (
    select
        coalesce(
            (select trade_date from latest_trading_day),
            (select max(trade_date) from bars)
        ) as as_of_date
)

select * from final
