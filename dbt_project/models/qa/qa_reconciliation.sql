select
    'reconciliation' as check_name,
    'warning' as severity,
    code as subject,
    min(trade_date) as trade_date,
    format(
        'run %s, %s %s: %s differences, likely cause %s: %s',
        run_id, check_name, period, count(*), likely_cause,
        (array_agg(evidence order by bar_end))[1]
    )
    || case likely_cause
        when 'late_corporate_action'
            then
                '; fix: if the event is missing here, add it to '
                || 'seeds/corporate_action_overrides.csv, then quotemill build'
        when 'missing_minutes'
            then
                format(
                    '; fix: loaders run tdx --dataset minute_1m --codes %s --since %s',
                    code, min(trade_date)
                )
        when 'missing_days'
            then
                format('; fix: loaders run tdx --dataset kline_daily --mode init --codes %s', code)
        when 'unexplained' then '; fix: compare the rows in qa.reconciliation'
        else '; nothing to do'
    end as evidence
from {{ ref('reconciliation') }}
where severity = 'warning'
group by run_id, check_name, code, period, likely_cause
