select
    code,
    exchange,
    trim(name) as name,
    instrument_type,
    case
        when instrument_type = 'fund' then 3
        when instrument_type = 'stock' and code like 'sh9%' then 3
        else 2
    end as price_decimals,
    is_listed,
    fetched_at
from {{ source('raw_tdx', 'security') }}
