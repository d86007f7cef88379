-- no CTE: the newest event up to a day is read by the index
select
    variety,
    route,
    trading_day,
    event_at,
    {{ none_if_unset('contract', 'text') }} as underlying_contract,
    fetched_at
from {{ source('raw_tq', 'main_event') }}
