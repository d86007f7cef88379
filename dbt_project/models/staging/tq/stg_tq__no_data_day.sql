select
    symbol,
    contract as underlying_contract,
    trading_day,
    reason,
    attempts as attempt_count,
    checked_at,
    coalesce(status, 'no_data') as status,
    fetched_at
from {{ source('raw_tq', 'no_data_day') }}
