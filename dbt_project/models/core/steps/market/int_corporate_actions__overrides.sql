select
    code,
    ex_date,
    action,
    coalesce(category, 1) as category,
    coalesce(cash_per10_yuan, 0) as cash_per10_yuan,
    coalesce(bonus_total_per10, 0) as bonus_total_per10,
    coalesce(rights_per10, 0) as rights_per10,
    coalesce(rights_price_yuan, 0) as rights_price_yuan,
    split_ratio,
    reason
from {{ ref('corporate_action_overrides') }}
