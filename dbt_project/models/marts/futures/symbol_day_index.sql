select
    symbol,
    underlying_contract,
    trading_day,
    segment_id,
    schedule_hash,
    tick_count,
    first_tick_at,
    last_tick_at,
    hash_a,
    hash_b,
    row_hash,
    book_levels,
    status,
    volume_lots,
    fetched_at,
    day_volume_lots
from {{ ref('stg_tq__symbol_day') }}
