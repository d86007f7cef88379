select
    trade_date,
    open_at,
    close_at,
    slot_count,
    is_early_close,
    lag(trade_date) over (order by trade_date) as previous_trade_date,
    lead(trade_date) over (order by trade_date) as next_trade_date,
    slot_before_close_at
from {{ ref('stg_ib__session') }}
