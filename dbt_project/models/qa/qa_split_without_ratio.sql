select
    'split_without_ratio' as check_name,
    'warning' as severity,
    code as subject,
    ex_date as trade_date,
    'a split without a usable ratio changes no price: ' || source_ref as evidence
from {{ ref('corporate_actions') }}
where category = 11 and coalesce(split_ratio, 0) <= 0
union all
select
    'action_without_shares' as check_name,
    'error' as severity,
    code as subject,
    ex_date as trade_date,
    format(
        'bonus shares of %s and rights of %s would leave no share, and change no price: %s',
        bonus_total_per10, rights_per10, source_ref
    ) as evidence
from {{ ref('corporate_actions') }}
where category = 1 and (bonus_total_per10 < 0 or rights_per10 < 0)
