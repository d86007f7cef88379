with stored as materialized ({ending} where not %(again)s)
select c.code, d.trade_date, d.low, d.high, d.volume, d.unit, d.is_final
from unnest(%(codes)s::text[]) as c (code)
cross join lateral (
    select b.trade_date, b.low, b.high, b.volume, coalesce(b.volume_unit, 100) as unit,
        b.is_final
    from raw_tdx.kline_daily as b
    where b.code = c.code and b.trade_date between %(first)s and %(last)s and b.volume > 0
    order by b.trade_date limit %(span)s
) as d
where not exists (
    select 1 from stored as s where s.code = c.code and s.trade_date = d.trade_date
)
order by 1, 2
