-- Captured contracts against the rows of the day, by symbol. By the rule of a good quote written
-- out: the model's own, if it were wrong, would take a row from both sides.
select
    coalesce(d.symbol, q.symbol) as symbol, count(q.conid) as captured_count,
    count(d.conid) as daily_count,
    count(*) filter (where q.conid is null and d.is_to_be_seen) as unseen_count,
    count(*) filter (where d.conid is null and q.can_stand) as lost_count
from (
    select symbol, conid, bool_or(
        not snapshot_error and (bid > ask) is not true
        and coalesce(bid, ask, case when volume_contracts > 0 then last end) is not null
        and not 'slot_retry_exceeded' = any(data_quality_flag) and is_on_time
    ) as can_stand
    from (
        select
            symbol, conid, snapshot_error, bid, ask, last, volume_contracts, data_quality_flag,
            capture_lag_s <= 60 * coalesce(
                (select value::int from ops.settings where key = 'ib_slot_window_minutes'),
                %(window)s
            ) as is_on_time
        from {options}.chain_intraday where trade_date = %(day)s
        union all
        select
            symbol, conid, snapshot_error, bid, ask, last, volume_contracts, data_quality_flag, true
        from {staging}.stg_ib__chain_close where trade_date = %(day)s
    ) as captured
    group by symbol, conid
) as q
full join (
    select symbol, conid, slots_seen = 0 or exists (
        -- else its slots are in the archive
        select 1 from raw_ib.chain_snapshot as s
        where s.symbol = c.symbol and s.trade_date = %(day)s
    ) as is_to_be_seen
    from {options}.chain_daily_clean as c where trade_date = %(day)s
) as d on q.symbol = d.symbol and q.conid = d.conid
group by 1
