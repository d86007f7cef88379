select
    trade_date,
    open_at,
    close_at,
    slots as slot_count,
    is_early_close,
    fetched_at,
    slot_before_close_at
from {{ source('raw_ib', 'session') }}
