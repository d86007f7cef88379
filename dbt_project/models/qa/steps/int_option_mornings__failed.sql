-- a morning is in vain where too few contracts answered; some never do
with mornings as (
    select
        symbol,
        (attempted_at at time zone 'America/New_York')::date as morning,
        max(trade_date) as trade_date,
        bool_or(
            status = 'stale' and pass in ('confirm', 'late')
            or status = 'failed'
            and filled_count + same_count + changed_count
            < {{ setting('ib_min_oi_share', 0.95) | indent(12) }} * eligible_count
        )
        and not bool_or(status = 'complete') as is_in_vain
    from {{ ref('stg_ib__enrichment') }}
    group by symbol, morning
)

-- each morning asks for the previous session, so they are in a row; a later answer ends the row
select
    'oi_enrichment_failed' as check_name,
    'error' as severity,
    m.symbol as subject,
    m.trade_date,
    format(
        'no open interest returned on %s or the two previous mornings; fix: loaders run ib --task '
        'enrich, before the next publication', m.morning
    ) as evidence
from (
    select
        *,
        bool_and(is_in_vain) over three and count(*) over three = 3 as is_third
    from mornings
    window three as (
        partition by symbol order by morning rows between 2 preceding and current row
    )
) as m
left join {{ ref('qa_option_day') }} as d on m.symbol = d.symbol and m.trade_date = d.trade_date
where
    m.is_third
    and (d.oi_verdict = 'pass') is not true
    and {{ is_in_universe('m.symbol') }}
