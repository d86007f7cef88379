select
    contract,
    variety,
    100 * delivery_year::bigint + delivery_month as delivery,
    row_number() over (partition by variety, delivery_year, delivery_month order by contract) = 1
        as is_first
from {{ ref('stg_tq__contract') }}
