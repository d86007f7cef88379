select
    'reconciliation' as check_name,
    'warning' as severity,
    code as subject,
    min(trade_date) as trade_date,
    format(
        'run %s, %s %s: %s differences, likely cause %s: %s',
        run_id, check_name, period, count(*), likely_cause,
        (array_agg(evidence order by bar_end))[1]
    ) as evidence
from {{ ref('reconciliation') }}
where severity = 'warning'
group by run_id, check_name, code, period, likely_cause
