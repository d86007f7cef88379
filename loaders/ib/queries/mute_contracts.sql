-- contracts that brought nothing in their newest slot of a session
select conid
from (
    select distinct on (conid) conid, snapshot_error, error_type
    from raw_ib.chain_snapshot
    where trade_date = %(day)s and symbol = any(%(symbols)s)
    order by conid, sample_time desc
) as newest
where snapshot_error and error_type = any(%(kinds)s)
