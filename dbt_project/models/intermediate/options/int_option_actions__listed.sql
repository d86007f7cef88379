select
    symbol,
    ex_date,
    type,
    ratio_num,
    ratio_den,
    source
from {{ ref('stg_seeds__us_corporate_action') }}
where rule is null
