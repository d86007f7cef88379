select
    line,
    code,
    ex_date,
    action,
    category,
    coalesce(cash_per10_yuan, 0) as cash_per10_yuan,
    coalesce(bonus_total_per10, 0) as bonus_total_per10,
    coalesce(rights_per10, 0) as rights_per10,
    coalesce(rights_price_yuan, 0) as rights_price_yuan,
    split_ratio,
    reason
from {{ ref('stg_seeds__corporate_action_override') }}
where rule is null
