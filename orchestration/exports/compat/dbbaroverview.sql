-- reads {compat}.dbbardata
select
    0 as id,
    b.symbol,
    b.exchange,
    b."interval",
    count(*)::integer as count,
    min(b.datetime) as start,
    max(b.datetime) as "end"
from {compat}.dbbardata as b
group by b.symbol, b.exchange, b."interval"
