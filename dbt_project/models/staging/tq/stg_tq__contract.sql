select
    contract,
    variety,
    exchange,
    name,
    expire_date,
    price_tick,
    volume_multiple,
    delivery_year,
    delivery_month,
    fetched_at
from {{ source('raw_tq', 'contract') }}
