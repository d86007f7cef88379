select
    symbol,
    ex_date,
    type,
    ratio_num,
    ratio_den,
    source
from {{ ref('us_corporate_actions') }}
