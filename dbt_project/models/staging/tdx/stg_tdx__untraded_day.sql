select
    code,
    trade_date
from {{ source('raw_tdx', 'kline_daily') }}
where not ({{ is_traded() }})
