select
    trade_date,
    conid,
    symbol,
    discovered_at,
    policy,
    stale_from_date,
    first_seen_slot,
    ref_price,
    ref_price_date,
    ref_price_source
from {{ source('raw_ib', 'session_contract') }}
