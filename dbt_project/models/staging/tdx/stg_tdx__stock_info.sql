select
    code,
    part,
    trade_date,
    row_count,
    (nullif(previous_close, 0) * 0.001)::numeric(18, 3) as previous_close,
    {{ prices_in_yuan(zero_is_none=true) }},
    100 * volume as volume_shares,
    amount_yuan::numeric(20, 3) as amount_cny,
    fetched_at
from {{ source('raw_tdx', 'stock_info') }}
