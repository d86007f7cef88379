select c.code, k.trade_date
from unnest(%s::text[]) as c (code)
cross join lateral (
    select b.trade_date from raw_tdx.kline_daily as b
    where b.code = c.code{traded}
    order by b.trade_date desc limit 1
) as k
