-- contracts that were qualified, have not expired and were not refused since
select
    c.conid, c.local_symbol, c.symbol, c.underlying_conid, c.trading_class, c.expiry, c.strike,
    c.option_right, c.multiplier, c.exchange,
    case when u.sec_type = 'IND' then u.exchange else 'SMART' end as underlying_route
from raw_ib.contract as c
left join raw_ib.underlying as u on c.symbol = u.symbol
where c.symbol = %(symbol)s and c.expiry >= %(day)s and c.conid > 0 and not exists (
    select 1 from raw_ib.negative_contract as n
    where n.symbol = c.symbol and n.trading_class = c.trading_class and n.expiry = c.expiry
        and n.strike = c.strike and n.option_right = c.option_right
        and n.fetched_at > c.fetched_at
)
