-- read by index only: a table named twice would be copied
with bars as not materialized (
    select * from {{ ref('stg_tdx__kline_daily') }}
),

trading_calendar as not materialized (
    select * from {{ ref('trading_calendar') }}
),

days as (
    select
        -- a bar on a day without trading must not move the market day
        coalesce(
            (
                select c.trade_date from trading_calendar as c
                where exists (select 1 from bars as b where b.trade_date = c.trade_date)
                order by c.trade_date desc limit 1
            ),
            (select max(trade_date) from bars)
        ) as as_of_date,
        -- a warehouse with only indices has a market too
        greatest(
            (
                select c.trade_date from trading_calendar as c
                where
                    exists (
                        select 1 from bars as b where b.trade_date = c.trade_date and b.is_final
                    )
                order by c.trade_date desc limit 1
            ),
            (
                select i.trade_date from {{ ref('stg_tdx__index_kline') }} as i
                where i.code = 'sh000001' and i.period = 'day' and i.is_final
                order by i.bar_end desc limit 1
            )
        ) as final_date
)

select
    d.as_of_date,
    d.final_date,
    {{ next_trading_day('trading_calendar', 'd.final_date') }} as next_trade_date
from days as d
