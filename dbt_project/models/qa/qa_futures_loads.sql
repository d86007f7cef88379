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
            then 'the futures trading calendar has ended, so no later day is loaded'
        else 'the futures trading calendar ends in less than 15 days'
    end
    || '; fix: loaders run tq, once next year''s holidays are published' as evidence
from {{ ref('stg_tq__trading_day') }} as d
cross join clock as c
group by c.today
having max(d.trading_day) < c.today + 15
union all
-- a row that came well later was withdrawn when it landed
{{ rejected_row_findings(ref('stg_tq__rejected_row')) }}
