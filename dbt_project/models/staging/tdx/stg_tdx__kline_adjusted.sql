-- no CTE: see stg_tdx__kline_daily
select
    code,
    trade_date,
    (open * 0.001)::numeric(18, 3) as open,
    (high * 0.001)::numeric(18, 3) as high,
    (low * 0.001)::numeric(18, 3) as low,
    (close * 0.001)::numeric(18, 3) as close,
    100 * volume as volume_shares,
    is_final,
    fetched_at
from {{ source('raw_tdx', 'kline_adjusted') }}
