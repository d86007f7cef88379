select
    contract,
    trading_day,
    start_at,
    open,
    high,
    low,
    close,
    volume as volume_lots,
    open_oi,
    close_oi,
    fetched_at
from {{ source('raw_tq', 'contract_minute') }}
