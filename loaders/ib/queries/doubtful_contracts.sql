-- contracts whose newest row of their symbol's last captured session is silent or refused
select conid
from (
    select distinct on (conid) conid, snapshot_error, error_type, data_quality_flag
    from raw_ib.chain_snapshot
    where symbol = %(symbol)s and trade_date = (
        select max(trade_date) from raw_ib.chain_snapshot
        where symbol = %(symbol)s and trade_date <= %(day)s
    )
    order by conid, sample_time desc
) as q
where snapshot_error
    and (error_type = %(refused)s or %(flag)s = any(string_to_array(data_quality_flag, ',')))
