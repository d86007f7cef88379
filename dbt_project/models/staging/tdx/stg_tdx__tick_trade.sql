-- no CTE: see stg_tdx__kline_daily
select
    code,
    trade_date,
    ordinal,
    traded_at,
    (price * 0.001)::numeric(18, 3) as price,
    100 * volume as volume_shares,
    side,
    -- the service has it of the running day only
    {{ none_if_unset('order_count', 'above_zero') }} as order_count,
    is_final,
    fetched_at,
    route_no
from {{ source('raw_tdx', 'tick_trade') }}
