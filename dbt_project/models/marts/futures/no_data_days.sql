select
    symbol,
    underlying_contract,
    trading_day,
    reason,
    attempt_count,
    checked_at
from {{ ref('stg_tq__no_data_day') }}
