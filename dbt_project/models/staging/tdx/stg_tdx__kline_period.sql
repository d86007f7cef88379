-- no CTE: see stg_tdx__kline_daily
select
    code,
    period,
    bar_end,
    trade_date,
    {{ prices_in_yuan() }},
    volume * {{ volume_unit() }} as volume_shares,
    {{ volume_unit() }} as volume_unit,
    (amount * 0.001)::numeric(20, 3) as amount_cny,
    is_final,
    source_route,
    fetched_at
from {{ source('raw_tdx', 'kline_period') }}
