select
    'wrong_code_change' as check_name,
    'error' as severity,
    coalesce(old_code, '') as subject,
    null::date as trade_date,
    fault || format(
        ': %s,%s,%s in seeds/code_changes_known.csv', old_code, new_code, date_text
    ) as evidence
from {{ ref('int_code_changes__read') }}
where fault is not null
union all
-- Beijing gave its stocks codes of 920 in 2025, mostly with the same last three digits. A month is
-- for a suspension over the day of the change.
select
    'code_change_unknown' as check_name,
    'warning' as severity,
    o.code as subject,
    n.first_trade_date as trade_date,
    format(
        'its bars end %s, those of %s begin %s; if it is the same stock, add %s,%s,%s and the '
        || 'source to seeds/code_changes_known.csv',
        o.last_trade_date, n.code, n.first_trade_date, o.code, n.code, n.first_trade_date
    ) as evidence
from {{ ref('symbol_dim') }} as o
inner join {{ ref('symbol_dim') }} as n
    on
        right(o.code, 3) = right(n.code, 3)
        and n.code like 'bj920%'
        and o.last_trade_date < n.first_trade_date
        and o.last_trade_date + 31 >= n.first_trade_date
where
    (o.code like 'bj4%' or o.code like 'bj8%')
    and not exists (
        select 1 from {{ ref('code_changes') }} as c
        where c.old_code = o.code or c.new_code = n.code
    )
