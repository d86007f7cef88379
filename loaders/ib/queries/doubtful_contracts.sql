-- contracts that were refused last in their symbol's last captured session, or brought nothing in
-- it
select conid
from raw_ib.chain_snapshot
where symbol = %(symbol)s and trade_date = (
    select max(trade_date) from raw_ib.chain_snapshot
    where symbol = %(symbol)s and trade_date <= %(day)s
)
group by conid
having bool_and(snapshot_error and error_type = any(%(kinds)s))
    or (array_agg(error_type order by sample_time desc))[1] = %(refused)s
