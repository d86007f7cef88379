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
    volume_flag,
    is_price_only,
    is_final,
    fetched_at,
    r.route as source_route
from {{ ref('stg_tdx__kline_minute') }} as b
left join {{ ref('stg_ops__route') }} as r on b.route_no = r.route_no
