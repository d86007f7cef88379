select
    symbol,
    contract as underlying_contract,
    trading_day,
    reason,
    attempts as attempt_count,
    checked_at,
    fetched_at
from {{ source('raw_tq', 'no_data_day') }}
