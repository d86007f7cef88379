select
    trade_date,
    symbol,
    attempted_at,
    pass,
    eligible as eligible_count,
    filled as filled_count,
    same as same_count,
    changed as changed_count,
    stale as stale_count,
    failed as failed_count,
    expired as expired_count,
    status
from {{ source('raw_ib', 'enrichment') }}
