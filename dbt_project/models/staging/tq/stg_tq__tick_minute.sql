select
    contract,
    trading_day,
    start_at,
    session_start as session_start_at,
    open,
    high,
    low,
    close,
    volume as volume_lots,
    amount::numeric(20, 3) as amount_cny,
    close_oi,
    tick_count
from {{ source('raw_tq', 'tick_minute') }}
