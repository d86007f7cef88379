select
    trade_date as trading_day,
    fetched_at
from {{ source('raw_tq', 'trading_day') }}
