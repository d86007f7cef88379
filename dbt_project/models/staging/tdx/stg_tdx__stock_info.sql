select
    code,
    part,
    trade_date,
    row_count,
    {{ in_yuan(none_if_unset('previous_close', 'above_zero')) }} as previous_close,
    {{ prices_in_yuan(traded="part <> 'quote' or volume <> 0 or amount_yuan <> 0") }},
    100 * {{ none_if_unset('volume', 'size') }} as volume_shares,
    amount_yuan::numeric(20, 3) as amount_cny,
    fetched_at
from {{ source('raw_tdx', 'stock_info') }}
