select
    contract,
    case
        when exchange = 'CZCE' then regexp_replace(contract, '\d(\d{3})$', '\1') else contract
    end as vendor_code,
    variety,
    exchange,
    name,
    expire_date,
    price_tick,
    volume_multiple,
    delivery_year,
    delivery_month
from {{ ref('stg_tq__contract') }}
