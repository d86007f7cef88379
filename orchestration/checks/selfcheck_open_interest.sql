-- The open interest that came for a day against the rows of the day that lack none: what requests
-- gained, `missing_oi` has lost. `is_unread`: the last build came before some of it.
select
    d.symbol, count(*) as daily_count, count(o.conid) as gained_count,
    count(*) filter (where not d.is_missing) as lost_count,
    count(d.open_interest) as filled_count, exists (
        select 1
        from ops.changes as c
        inner join ops.change_cursors as k on k.reader = %(reader)s
        where c.table_name = 'raw_ib.open_interest' and c.key in (d.symbol, '')
            and c.dates @> %(day)s::date and c.xid >= pg_snapshot_xmin(k.seen)
            and not pg_visible_in_snapshot(c.xid, k.seen)
    ) as is_unread
from (
    select symbol, conid, open_interest, 'missing_oi' = any(data_quality_flag) as is_missing
    from {options}.chain_daily_clean where trade_date = %(day)s
) as d
left join raw_ib.open_interest as o on d.conid = o.conid and o.oi_asof_date = %(day)s
group by d.symbol
