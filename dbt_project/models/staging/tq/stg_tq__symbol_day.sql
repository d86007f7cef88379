select
    symbol,
    contract as underlying_contract,
    trading_day,
    segment_id,
    schedule_hash,
    rows::integer as tick_count,
    first_ts as first_tick_at,
    last_ts as last_tick_at,
    hash_a,
    hash_b,
    row_hash,
    book_levels,
    status,
    volume as volume_lots,
    fetched_at,
    day_volume as day_volume_lots
from {{ source('raw_tq', 'symbol_day') }}
