select
    variety,
    valid_from,
    session,
    idx,
    start_s,
    end_s,
    fetched_at
from {{ source('raw_tq', 'trading_session') }}
