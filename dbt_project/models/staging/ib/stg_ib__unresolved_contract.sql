select
    trade_date,
    symbol,
    trading_class,
    expiry,
    strike,
    option_right,
    asked_at,
    error_type
from {{ source('raw_ib', 'unresolved_contract') }}
where error_type is not null
