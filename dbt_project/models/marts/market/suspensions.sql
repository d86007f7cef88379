-- not a day that was only published: possibly nothing traded
with numbered_days as (
    select
        trade_date,
        count(*) filter (where is_served) over (order by trade_date) as served_number,
        is_served::integer as is_served
    from {{ ref('trading_calendar') }}
),

stretches as (
    select
        g.code,
        g.last_bar_date,
        g.trade_date,
        (n.served_number - n.is_served - l.served_number)::integer as day_count
    from {{ ref('int_bars__gaps') }} as g
    inner join numbered_days as l on g.last_bar_date = l.trade_date
    inner join numbered_days as n on g.trade_date = n.trade_date
)

-- a later answer may have had a bar in between
select s.*
from stretches as s
where
    s.day_count > 0
    and not exists (
        select 1 from {{ ref('stg_tdx__kline_daily') }} as b
        where
            b.code = s.code
            and b.trade_date > s.last_bar_date
            and b.trade_date < s.trade_date
    )
    -- what most codes lack was not downloaded
    and not exists (
        select 1 from {{ ref('int_bars__missing_days') }} as m
        where
            m.exchange = left(s.code, 2)
            and m.trade_date > s.last_bar_date
            and m.trade_date < s.trade_date
    )
union all
-- what is listed and lacks the newest day goes on; a code that changed trades under its new one
select
    s.code,
    s.last_trade_date as last_bar_date,
    null::date as trade_date,
    (n.served_number - l.served_number)::integer as day_count
from {{ ref('symbol_dim') }} as s
inner join {{ ref('int_market_day__latest') }} as m on s.last_trade_date < m.final_date
inner join numbered_days as l on s.last_trade_date = l.trade_date
inner join numbered_days as n on m.final_date = n.trade_date
where
    s.is_listed
    and s.instrument_type <> 'index'
    and s.current_code = s.code
    and n.served_number > l.served_number
