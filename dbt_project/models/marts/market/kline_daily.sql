-- no CTE: see stg_tdx__kline_daily
select
    code,
    trade_date,
    open,
    high,
    low,
    close,
    volume_shares,
    amount_cny,
    volume_flag,
    is_final,
    fetched_at
from {{ ref('stg_tdx__kline_daily') }}
