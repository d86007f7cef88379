-- contracts that brought no price in enough captures of a session, and none since
with priceless as (
    select c.symbol, c.conid
    from raw_ib.chain_snapshot as c
    left join raw_ib.recapture as r using (trade_date, sample_time, conid)
    where c.trade_date = %(day)s and c.symbol = any(%(symbols)s)
        and c.snapshot_error and c.error_type = any(%(kinds)s)
        -- contracts that were never requested have the flag too
        and not %(spent)s = any(string_to_array(c.data_quality_flag, ','))
        and not exists (
            select 1 from raw_ib.chain_snapshot as g
            where g.trade_date = c.trade_date and g.symbol = c.symbol and g.conid = c.conid
                and not g.snapshot_error and g.captured_at > c.captured_at
        )
    group by c.symbol, c.conid
    -- attempts beside which others of the symbol answered; a refusal is an answer itself
    having sum(coalesce(r.attempts, (c.error_type = %(refused)s)::int)) >= %(captures)s
),

captured as (
    select symbol, count(distinct conid) as contract_count
    from raw_ib.chain_snapshot
    where trade_date = %(day)s and symbol in (select symbol from priceless)
    group by symbol
)

select p.conid
from priceless as p
inner join captured as c using (symbol)
where 2 * (select count(*) from priceless as i where i.symbol = p.symbol) <= c.contract_count
