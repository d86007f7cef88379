select
    c.conid,
    c.symbol,
    c.underlying_conid,
    c.trading_class,
    c.expiry,
    c.strike,
    c.option_right,
    c.multiplier,
    c.local_symbol,
    c.exchange,
    c.is_adjusted,
    c.first_seen_date
from {{ ref('stg_ib__contract') }} as c
