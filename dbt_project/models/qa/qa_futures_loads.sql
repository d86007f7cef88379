with clock as (
    select ({{ as_of() }} at time zone 'Asia/Shanghai')::date as today
)

-- a month ahead is loaded, as far as the list of holidays reaches
select
    'calendar_horizon' as check_name,
    case when max(d.trading_day) < c.today then 'error' else 'warning' end as severity,
    'trading_day of futures' as subject,
    max(d.trading_day) as trade_date,
    case
        when max(d.trading_day) < c.today
            then 'the trading days of futures have ended, so no later day is loaded'
        else 'the trading days of futures end in less than 15 days'
    end
    || ': loaders run tq, once the holidays of the next year are published' as evidence
from {{ ref('stg_tq__trading_day') }} as d
cross join clock as c
group by c.today
having max(d.trading_day) < c.today + 15
union all
-- a row that came well later was withdrawn when it landed
{{ rejected_row_findings(ref('stg_tq__rejected_row')) }}
