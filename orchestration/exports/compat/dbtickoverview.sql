-- reads {compat}.dbtickdata
select
    0 as id,
    t.symbol,
    t.exchange,
    count(*)::integer as count,
    min(t.datetime) as start,
    max(t.datetime) as "end"
from {compat}.dbtickdata as t
group by t.symbol, t.exchange
