-- captured contracts against the rows of the day, by symbol
select
    coalesce(d.symbol, q.symbol) as symbol, count(q.conid) as captured_count,
    count(d.conid) as daily_count,
    count(*) filter (where q.conid is null and d.is_to_be_seen) as unseen_count,
    count(*) filter (where d.conid is null and q.can_stand) as lost_count
from (
    select symbol, conid, bool_or(is_good and is_on_time) as can_stand
    from {intermediate}.int_option_quotes__ranked where trade_date = %(day)s
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
