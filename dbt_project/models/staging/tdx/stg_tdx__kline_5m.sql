-- no CTE: see stg_tdx__kline_daily
select
    code,
    bar_end,
    trade_date,
    open,
    high,
    low,
    close,
    volume_shares,
    amount_cny,
    is_final,
    fetched_at
from {{ ref('stg_tdx__kline_period') }}
where period = 'minute5'
