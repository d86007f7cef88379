select c.code, k.low, k.high, k.volume, s.hands
from unnest(%(codes)s::text[]) as c (code)
left join lateral (
    select b.low, b.high, b.volume from raw_tdx.kline_daily as b
    where b.code = c.code and b.trade_date < %(today)s and b.is_final
    order by b.trade_date desc limit 1
) as k on true
left join lateral (
    select sum(t.volume)::bigint as hands from raw_tdx.tick_trade as t
    where t.code = c.code and t.trade_date = %(today)s
) as s on true
