{#
    The freshness of a source's datasets, after the CTEs `loaded` (dataset, last_date, due_after)
    and `trading_days` (trade_date). `due_after` is the number of trading days after which the data
    of a day are due, at `due_time` in `zone`; null for what is loaded on demand and never due.
#}
{% macro judged_freshness(source, zone, due_time) -%}
clock as (
    select
        {{ as_of() }} at time zone '{{ zone }}' as local_time,
        {{ due_time }} as due_time
),

-- Past the end of the calendar every weekday counts: an expired calendar must not make everything
-- look fresh.
expected_days as (
    select trade_date from trading_days
    union all
    select d.trade_date::date
    from clock as c
    cross join lateral generate_series(
        coalesce((select max(t.trade_date) + 1 from trading_days as t)::timestamp, c.local_time),
        c.local_time,
        interval '1 day'
    ) as d (trade_date)
    where extract(isodow from d.trade_date) < 6
),

-- no dataset waits for older ones
newest_days as (
    select e.trade_date
    from expected_days as e
    cross join clock as c
    where e.trade_date + c.due_time <= c.local_time
    order by e.trade_date desc
    limit 1 + (select max(l.due_after) from loaded as l)
),

due_days as materialized (
    select
        trade_date,
        row_number() over (order by trade_date desc) - 1 as age
    from newest_days
),

judged as materialized (
    select
        l.dataset,
        l.last_date,
        (select min(d.trade_date) from due_days as d where d.age <= l.due_after) as expected_date
    from loaded as l
)

select
    j.dataset,
    '{{ source }}' as source,
    j.last_date,
    j.expected_date,
    coalesce(j.last_date < j.expected_date, j.last_date is null and j.expected_date is not null)
        as is_stale,
    case
        when j.last_date is not null and j.expected_date is not null then (
            select count(*)::integer from expected_days as e
            where e.trade_date > j.last_date and e.trade_date <= j.expected_date
        )
    end as lag_trading_days
from judged as j
{%- endmacro %}
