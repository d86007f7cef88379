select
    c.conid,
    c.symbol,
    c.underlying_conid,
    {{ option_terms('c') }},
    c.exchange,
    c.is_adjusted,
    c.first_seen_date,
    c.underlying_sec_type,
    c.expiration_date,
    c.settlement,
    c.expires_at,
    c.trades_until
from {{ ref('stg_ib__contract') }} as c
