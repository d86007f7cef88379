-- Beijing gave its stocks codes of 920 in 2025, mostly with the same last three digits. A month is
-- for a suspension over the day of the change.
select
    o.code as old_code,
    n.code as new_code,
    n.first_trade_date as valid_from,
    o.last_trade_date
from {{ ref('symbol_dim') }} as o
inner join {{ ref('symbol_dim') }} as n
    on
        right(o.code, 3) = right(n.code, 3)
        and n.code like 'bj920%'
        and o.last_trade_date < n.first_trade_date
        and o.last_trade_date + 31 >= n.first_trade_date
where
    (o.code like 'bj4%' or o.code like 'bj8%')
    and n.former_code is null
    and not exists (
        select 1 from {{ ref('stg_seeds__code_change') }} as c
        where c.old_code = o.code and c.rule is null
    )
