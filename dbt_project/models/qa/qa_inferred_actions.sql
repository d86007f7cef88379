select
    'inferred_action' as check_name,
    'warning' as severity,
    code as subject,
    ex_date as trade_date,
    'the vendor adjusts for an event that we lack'
    || case when is_applied then ' (applied)' else '' end
    || format(
        ': m %s, c %s by %s bars with an error of %s yuan', m, c, fitted_bar_count,
        round(fit_error, 4)
    ) as evidence
from {{ ref('inferred_actions') }}
where not is_overridden
