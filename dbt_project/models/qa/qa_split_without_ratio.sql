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
            then format(
                'prices are not adjusted for this reorganisation (%s); fix: if the exchange '
                'adjusted them, add it to seeds/corporate_action_overrides.csv', source_ref
            )
        when 11
            then format(
                'prices are not adjusted for a split without a usable ratio (%s); fix: add it with '
                'its ratio to seeds/corporate_action_overrides.csv', source_ref
            )
        else format(
            'prices are not adjusted for bonus shares of %s and rights of %s, which would leave no '
            'share (%s); fix: replace it in seeds/corporate_action_overrides.csv',
            bonus_total_per10, rights_per10, source_ref
        )
    end as evidence
from {{ ref('corporate_actions') }}
where
    category = 15
    or category = 11 and coalesce(split_ratio, 0) <= 0
    or category = 1 and (bonus_total_per10 < 0 or rights_per10 < 0)
