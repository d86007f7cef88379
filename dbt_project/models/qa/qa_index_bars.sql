select
    check_name,
    case check_name when 'duplicate_bar' then 'error' else 'warning' end as severity,
    code as subject,
    trade_date,
    evidence
from {{ ref('int_index_bars__findings') }}
