-- LIMIT keeps the planner from joining whole tables of bars and ticks instead
select k.code, k.trade_date, k.low, k.high, k.volume, k.unit, s.hands, s.ticks, s.answered_on
from {codes}
cross join lateral (
    select b.code, b.trade_date, b.low, b.high, b.volume, coalesce(b.volume_unit, 100) as unit
    from raw_tdx.kline_daily as b
    where b.code = c.code and b.trade_date between %(first)s and %(last)s
        and b.is_final and b.volume * coalesce(b.volume_unit, 100) >= 100
    order by b.trade_date limit %(span)s
) as k
left join lateral (
    select t.is_final from raw_tdx.tick_trade as t
    where t.code = k.code and t.trade_date = k.trade_date and t.ordinal = 1 limit 1
) as f on true
left join lateral (
    select sum(t.volume)::bigint as hands, count(*) as ticks,
        (max(t.fetched_at) at time zone 'UTC' + interval '8 hours')::date as answered_on
    from raw_tdx.tick_trade as t
    where f.is_final is not null and t.code = k.code and t.trade_date = k.trade_date
) as s on true
where f.is_final is not true or k.trade_date >= %(again)s
order by k.code, k.trade_date
