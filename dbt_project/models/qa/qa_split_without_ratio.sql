select
    'split_without_ratio' as check_name,
    'warning' as severity,
    code as subject,
    ex_date as trade_date,
    'a split without a usable ratio changes no price: ' || source_ref as evidence
from {{ ref('corporate_actions') }}
where category = 11 and coalesce(split_ratio, 0) <= 0
