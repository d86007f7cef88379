-- one route per variety: two routes are never mixed
with harvests as (
    select
        h.*,
        row_number() over (
            partition by h.variety order by s.value is null, h.route <> 'backtest', h.route
        ) = 1 as is_chosen
    from {{ ref('stg_tq__main_harvest') }} as h
    left join {{ ref('stg_ops__setting') }} as s on s.key = 'tq_route' and h.route = s.value
)

-- the newest event up to a day holds on it; of several on one day the last
select
    h.variety,
    h.route,
    d.trading_day,
    e.underlying_contract,
    h.is_chosen
from harvests as h
inner join {{ ref('stg_tq__trading_day') }} as d
    on d.trading_day between h.first_trading_day and h.last_trading_day
left join lateral (
    select m.underlying_contract from {{ ref('stg_tq__main_event') }} as m
    where m.variety = h.variety and m.route = h.route and m.trading_day <= d.trading_day
    order by m.trading_day desc, m.event_at desc
    limit 1
) as e on true
