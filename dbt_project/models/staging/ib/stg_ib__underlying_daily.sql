select
    symbol,
    trade_date,
    open as und_open,
    high as und_high,
    low as und_low,
    close as und_close,
    volume as volume_shares,
    adjusted_close,
    adjusted_as_of,
    -- a bar that the newest load no longer had is in the shares of an older day
    adjusted_as_of = max(adjusted_as_of) over (partition by symbol) as is_current
from {{ source('raw_ib', 'underlying_daily') }}
