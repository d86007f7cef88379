-- due_tick_days where ticks are on the nodes of Citus and bars are not: ticks are read first, for
-- the codes and days alone. OFFSET keeps a node from joining its whole table.
with stored as materialized (
    select c.code, f.trade_date, f.is_final, s.hands, s.ticks, s.answered_on
    from {codes}
    cross join lateral (
        select t.trade_date, t.is_final from raw_tdx.tick_trade as t
        where t.code = c.code and t.trade_date = any(%(days)s) and t.ordinal = 1 offset 0
    ) as f
    left join lateral (
        select sum(t.volume)::bigint as hands, count(*) as ticks,
            (max(t.fetched_at) at time zone 'UTC' + interval '8 hours')::date as answered_on
        from raw_tdx.tick_trade as t
        where (not f.is_final or f.trade_date >= %(again)s)
            and t.code = c.code and t.trade_date = f.trade_date
        group by t.code
    ) as s on true
)
select k.code, k.trade_date, k.low, k.high, k.volume, k.unit, s.hands, coalesce(s.ticks, 0),
    s.answered_on
from unnest(%(codes)s::text[]) as c (code)
cross join lateral (
    select b.code, b.trade_date, b.low, b.high, b.volume, coalesce(b.volume_unit, 100) as unit
    from raw_tdx.kline_daily as b
    where b.code = c.code and b.trade_date between %(first)s and %(last)s
        and b.is_final and b.volume * coalesce(b.volume_unit, 100) >= 100
    order by b.trade_date limit %(span)s
) as k
left join stored as s on k.code = s.code and k.trade_date = s.trade_date
where s.is_final is not true or k.trade_date >= %(again)s
order by k.code, k.trade_date
