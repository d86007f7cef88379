select
    contract,
    trade_date as trading_day,
    settlement as settlement_price,
    fetched_at
from {{ source('raw_tq', 'settlement') }}
