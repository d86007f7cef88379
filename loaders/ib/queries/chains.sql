-- contracts of each symbol's newest set that may stand for a session, less what has expired
with newest as (
    select symbol, max(trade_date) as trade_date
    from raw_ib.session_contract
    where trade_date between %(oldest)s and %(day)s
        and (%(symbols)s::text[] is null or symbol = any(%(symbols)s))
    group by symbol
)

select
    s.trade_date, s.policy = %(stale)s as is_stale,
    c.conid, c.local_symbol, c.symbol, c.underlying_conid, c.trading_class, c.expiry, c.strike,
    c.option_right, c.multiplier, c.exchange,
    case when u.sec_type = 'IND' then u.exchange else 'SMART' end as underlying_route
from newest as n
inner join raw_ib.session_contract as s using (symbol, trade_date)
inner join raw_ib.contract as c using (conid)
left join raw_ib.underlying as u on c.symbol = u.symbol
where c.expiry >= %(day)s and c.conid > 0
order by c.symbol, c.expiry, c.strike, c.option_right, c.trading_class, c.conid
