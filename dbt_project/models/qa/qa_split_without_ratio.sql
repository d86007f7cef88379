-- in one pass over the actions
select
    case category
        when 11 then 'split_without_ratio'
        when 15 then 'unread_reorganisation'
        else 'action_without_shares'
    end as check_name,
    case category when 1 then 'error' else 'warning' end as severity,
    code as subject,
    ex_date as trade_date,
    case category
        when 15
            then
                'a reorganisation changes no price here; if the exchange adjusted that day, add it'
                || ' to seeds/corporate_action_overrides.csv: ' || source_ref
        when 11 then 'a split without a usable ratio changes no price: ' || source_ref
        else format(
            'bonus shares of %s and rights of %s would leave no share, and change no price: %s',
            bonus_total_per10, rights_per10, source_ref
        )
    end as evidence
from {{ ref('corporate_actions') }}
where
    category = 15
    or category = 11 and coalesce(split_ratio, 0) <= 0
    or category = 1 and (bonus_total_per10 < 0 or rights_per10 < 0)
