select
    c.conid,
    lag(c.valid_to, 1, date '1900-01-01') over (partition by c.conid order by c.valid_to)
        as valid_from,
    c.valid_to,
    c.symbol,
    {{ option_terms('c') }},
    {{ is_adjusted_series('c') | indent }} as is_adjusted,
    {{ expired_at('c.expiry') | indent }} as expires_at
from {{ source('raw_ib', 'former_contract') }} as c
