-- no CTE: see stg_tdx__kline_daily
select
    code,
    trade_date,
    ordinal,
    traded_at,
    price,
    volume_shares,
    side,
    case side when 0 then 'buy' when 1 then 'sell' else 'neutral' end as side_name,
    order_count,
    is_final,
    fetched_at,
    r.route as source_route
from {{ ref('stg_tdx__tick_trade') }} as t
left join {{ ref('stg_ops__route') }} as r on t.route_no = r.route_no
