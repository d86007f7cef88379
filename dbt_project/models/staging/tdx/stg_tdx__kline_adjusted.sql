-- no CTE: see stg_tdx__kline_daily
select
    code,
    trade_date,
    {{ prices_in_yuan() }},
    100 * volume as volume_shares,
    is_final,
    fetched_at
from {{ source('raw_tdx', 'kline_adjusted') }}
