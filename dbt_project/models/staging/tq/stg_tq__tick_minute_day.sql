select
    contract,
    trading_day,
    row_hash,
    minute_count
from {{ source('raw_tq', 'tick_minute_day') }}
