select
    c.conid,
    lag(c.valid_to, 1, date '1900-01-01') over (partition by c.conid order by c.valid_to)
        as valid_from,
    c.valid_to,
    c.symbol,
    c.trading_class,
    c.expiry,
    c.strike,
    c.option_right,
    c.multiplier,
    c.local_symbol,
    {{ is_adjusted_series('c') | indent }} as is_adjusted,
    {{ expired_at('c.expiry') | indent }} as expires_at
from {{ source('raw_ib', 'former_contract') }} as c
