select c.code, d.day, s.*
from {codes}
cross join lateral (
    select k.trade_date as day,
        (k.trade_date + time '15:00') at time zone interval '08:00' as close
    from {table} as k
    where k.code = c.code{period} and k.is_final order by k.bar_end desc limit 1
) as d
cross join lateral (
    select count(*) as minutes,
        max(coalesce(k.volume_unit, 100)) as unit,
        sum(k.volume * coalesce(k.volume_unit, 100))::bigint as shares,
        sum(k.volume * coalesce(k.volume_unit, 100) / 100)::bigint as hands,
        {sums}
    from {table} as k
    where k.code = c.code{period} and k.is_final
        and k.bar_end between d.close - interval '6 hours' and d.close
) as s
