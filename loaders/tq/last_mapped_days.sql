-- The last trading day that has a main contract, by the route from which the schedule is built.
-- A window that ends without one gives no row.
with chosen as (
    select distinct on (variety) variety, route, last_day
    from raw_tq.main_harvest
    where variety = any(%(varieties)s)
    order by variety, route <> %(route)s, route <> 'backtest'
)

select h.variety, h.last_day
from chosen as h
cross join lateral (
    select e.contract
    from raw_tq.main_event as e
    where e.variety = h.variety and e.route = h.route and e.trading_day <= h.last_day
    order by e.trading_day desc, e.event_at desc
    limit 1
) as newest
where newest.contract is not null
order by h.variety
