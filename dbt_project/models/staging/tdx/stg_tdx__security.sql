select
    code,
    exchange,
    trim(name) as name,
    instrument_type,
    -- null in what was landed before the column came
    coalesce(price_decimals, case instrument_type when 'fund' then 3 else 2 end) as price_decimals,
    is_listed,
    fetched_at
from {{ source('raw_tdx', 'security') }}
