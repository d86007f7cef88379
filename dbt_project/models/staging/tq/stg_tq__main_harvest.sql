select
    variety,
    route,
    first_day as first_trading_day,
    last_day as last_trading_day,
    fetched_at
from {{ source('raw_tq', 'main_harvest') }}
