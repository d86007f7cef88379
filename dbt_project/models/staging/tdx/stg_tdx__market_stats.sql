select
    exchange,
    sampled_at,
    trade_date,
    stock_count as service_stock_count,
    up_count as service_up_count,
    down_count as service_down_count,
    flat_count as service_flat_count,
    instrument_count as service_instrument_count,
    fetched_at
from {{ source('raw_tdx', 'market_stats') }}
