{{ config(
    materialized='followed',
    unique_key=['old_code'],
    meta={'entity': 'old_code'},
) }}

{%- set bars = ref('stg_tdx__kline_daily') %}

with last_bars as materialized (
    select
        s.is_listed,
        l.*
    from {{ ref('stg_tdx__security') }} as s
    cross join lateral (
        select b.* from {{ bars }} as b
        where b.code = s.code
        order by b.trade_date desc
        limit 1
    ) as l
),

-- Of two codes of an exchange that share the last bar of one, the one that lives on is new. Of
-- copies it is the newest that has all of the bars; a line says that a code is known, or no other.
twins as (
    select
        o.code as old_code,
        n.code as new_code,
        o.trade_date as last_date,
        c.first_date,
        row_number() over (
            partition by o.code order by n.trade_date desc, n.is_listed desc, n.code desc
        ) as place
    -- All bars of those days at once: code by code each pair would be looked up. The amount finds
    -- twins. What else they share is compared by `is not distinct from`: a join hashes what is `=`.
    from {{ bars }} as b
    inner join last_bars as o
        on
            b.trade_date = o.trade_date
            and b.trade_date = any(array(select distinct l.trade_date from last_bars as l))
            and b.amount_li = o.amount_li
            and b.code <> o.code  -- else each code is compared with all others
            and (left(b.code, 2), b.open_li, b.high_li, b.low_li, b.close_li)
            is not distinct from (left(o.code, 2), o.open_li, o.high_li, o.low_li, o.close_li)
    inner join last_bars as n
        on
            b.code = n.code
            and (o.trade_date, o.is_listed, o.code) < (n.trade_date, n.is_listed, n.code)
    -- no two stocks have the prices and turnover of 40 days in common
    inner join
        lateral (
            select
                min(k.trade_date) as first_date,
                count(*) as day_count
            from (
                select h.* from {{ bars }} as h
                where h.code = o.code
                order by h.trade_date desc
                limit 40
            ) as k
            inner join {{ bars }} as m
                on
                    k.trade_date = m.trade_date
                    and n.code = m.code
                    and (k.open_li, k.high_li, k.low_li, k.close_li, k.amount_li)
                    = (m.open_li, m.high_li, m.low_li, m.close_li, m.amount_li)
        ) as c
        on c.day_count = 40
    where
        not exists (
            select 1 from {{ ref('code_changes_known') }} as l
            where l.old_code = o.code or (l.old_code = n.code and l.new_code = 'none')
        )
)

select
    t.old_code,
    t.new_code,
    (
        select b.trade_date from {{ bars }} as b
        where b.code = t.new_code and b.trade_date > t.last_date
        order by b.trade_date
        limit 1
    ) as valid_from,
    t.first_date,
    t.last_date
from twins as t
where t.place = 1
