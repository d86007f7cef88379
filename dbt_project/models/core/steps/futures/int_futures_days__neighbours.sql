select
    trading_day,
    lag(trading_day) over (order by trading_day) as prev_trading_day,
    lead(trading_day) over (order by trading_day) as next_trading_day
from {{ ref('stg_tq__trading_day') }}
