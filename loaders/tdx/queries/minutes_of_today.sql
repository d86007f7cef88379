select code,
    array_agg((extract(epoch from bar_end + interval '8 hours')::bigint
        %% 86400 / 60)::integer),
    (array_agg(is_final or fetched_at >= bar_end + make_interval(mins => %s)
        order by bar_end desc))[1]
from raw_tdx.kline_minute
where code = any(%s) and trade_date = %s and bar_end > %s and bar_end <= %s
group by code
