-- the days without a trade, each with the next one
with untraded as (
    select
        code,
        trade_date,
        lead(trade_date, 1, 'infinity') over (partition by code order by trade_date) as next_date
    from {{ ref('int_bars__untraded') }}
),

-- what no bar shows
silent as not materialized (
    select
        g.code,
        g.last_bar_date,
        g.trade_date
    from {{ ref('stg_tdx__answer_gap') }} as g
    where
        not exists (
            select 1 from {{ ref('int_bars__untraded') }} as u
            where u.code = g.code and u.trade_date in (g.last_bar_date, g.trade_date)
        )
)

select * from silent
union all
-- what bars without a trade show: the last of them in a row has a bar with a trade after it
select
    u.code,
    l.trade_date as last_bar_date,
    n.trade_date
from untraded as u
inner join lateral (
    select k.trade_date from {{ ref('stg_tdx__kline_daily') }} as k
    where k.code = u.code and k.trade_date > u.trade_date and k.trade_date < u.next_date
    order by k.trade_date
    limit 1
) as n on true
inner join lateral (
    select k.trade_date from {{ ref('stg_tdx__kline_daily') }} as k
    where k.code = u.code and k.trade_date < u.trade_date
    order by k.trade_date desc
    limit 1
) as l on true
where
    not exists (
        select 1 from silent as s
        where s.code = u.code and s.last_bar_date = l.trade_date and s.trade_date = n.trade_date
    )
