select
    c.conid,
    c.symbol,
    c.underlying_conid,
    {{ option_terms('c') }},
    c.exchange,
    c.first_seen_date,
    {{ is_adjusted_series('c') | indent }} as is_adjusted,
    c.fetched_at,
    coalesce(u.sec_type, 'STK') as underlying_sec_type,
    -- of contracts that were looked up before these were read: those of stocks
    coalesce(c.expiration_date, c.expiry) as expiration_date,
    coalesce(c.settlement, 'PM') as settlement,
    coalesce(c.expires_at, {{ expired_at('c.expiry') | indent(8) }}) as expires_at,
    c.trades_until
from {{ source('raw_ib', 'contract') }} as c
left join {{ source('raw_ib', 'underlying') }} as u on c.symbol = u.symbol
