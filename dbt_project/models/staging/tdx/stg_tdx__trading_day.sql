select
    trade_date,
    source,
    fetched_at
from {{ source('raw_tdx', 'trading_day') }}
