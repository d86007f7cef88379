select
    contract,
    trade_date as trading_day,
    open,
    high,
    low,
    close,
    volume as volume_lots,
    open_oi,
    close_oi,
    is_final,
    fetched_at
from {{ source('raw_tq', 'contract_daily') }}
