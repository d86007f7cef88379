-- A gap that an answer covers is a suspension (market.suspensions); another one was not loaded. The
-- early turnover is recorded on another par value: one line per code.
with judged as (
    select
        f.*,
        f.check_name = 'volume_mismatch' and f.trade_date < date '1994-01-01' as is_early
    from {{ ref('int_bars__findings') }} as f
    left join {{ ref('int_bars__gaps') }} as g
        on
            f.check_name = 'missing_bars'
            and f.code = g.code
            and f.trade_date = g.trade_date
            and f.finding_date > g.last_bar_date
    where g.code is null
)

select
    check_name,
    case check_name when 'ohlc_order' then 'error' else 'warning' end as severity,
    code as subject,
    finding_date as trade_date,
    evidence
from judged
where not is_early
union all
select
    check_name,
    'info' as severity,
    code as subject,
    min(trade_date) as trade_date,
    format(
        '%s (latest %s): turnover and volume are inconsistent, because shares had another par '
        'value',
        {{ say_count('bar') }}, max(trade_date)
    ) as evidence
from judged
where is_early
group by check_name, code
