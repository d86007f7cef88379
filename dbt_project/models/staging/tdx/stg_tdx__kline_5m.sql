-- no CTE: see stg_tdx__kline_daily
select
    code,
    bar_end,
    trade_date,
    {{ prices_in_yuan() }},
    coalesce(volume_unit, 100) * volume as volume_shares,
    (amount * 0.001)::numeric(20, 3) as amount_cny,
    is_final,
    fetched_at
from {{ source('raw_tdx', 'kline_period') }}
where period = 'minute5'
