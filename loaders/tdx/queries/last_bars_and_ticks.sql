with ticks as materialized (
    select code, sum(volume)::bigint as hands
    from raw_tdx.tick_trade
    where code = any(%(codes)s) and trade_date = %(today)s
    group by code
)
select c.code, k.low, k.high, k.volume, k.unit, t.hands
from unnest(%(codes)s::text[]) as c (code)
left join lateral (
    select b.low, b.high, b.volume, coalesce(b.volume_unit, 100) as unit
    from raw_tdx.kline_daily as b
    where b.code = c.code and b.trade_date < %(today)s and b.is_final
        and (b.volume > 0 or b.amount > 0)
    order by b.trade_date desc limit 1
) as k on true
left join ticks as t on c.code = t.code
