{{ config(
    materialized='followed',
    unique_key=['old_code'],
    indexes=[{'columns': ['old_code'], 'unique': true}],
    meta={'entity': 'old_code'},
) }}

-- no two stocks have the prices and turnover of two months in common
with recursive alike as materialized (
    select
        code,
        other_code,
        sum(bar_count) as bar_count
    from {{ ref('int_bars__paired') }}
    group by code, other_code
    having sum(bar_count) >= 40
),

-- two funds of money may, at 100 yuan each day; most of their bars differ
twins as (
    select
        a.code,
        a.other_code
    from alike as a
    left join {{ ref('int_bars__hashed') }} as c on a.code = c.code
    left join {{ ref('int_bars__hashed') }} as o
        on a.other_code = o.code and c.month_start = o.month_start and c.bars_hash <> o.bars_hash
    group by a.code, a.other_code, a.bar_count
    having
        coalesce(sum(least(c.bar_count, o.bar_count)) filter (where o.code is not null), 0)
        <= a.bar_count
),

-- the one that lives on comes last
ranked as (
    select
        s.code,
        l.last_trade_date,
        row_number() over (order by l.last_trade_date, s.is_listed, s.code) as place
    from {{ ref('stg_tdx__security') }} as s
    inner join lateral (
        select b.trade_date as last_trade_date from {{ ref('stg_tdx__kline_daily') }} as b
        where b.code = s.code order by b.trade_date desc limit 1
    ) as l on true
    where s.code in (select t.code from twins as t)
),

lines as (
    select
        old_code,
        nullif(new_code, 'none') as new_code
    from {{ ref('code_changes_known') }}
),

-- none says that a code is no other one
pairs as (
    select
        code,
        other_code
    from twins
    where
        not exists (
            select 1 from lines as l
            where l.new_code is null and l.old_code in (twins.code, twins.other_code)
        )
    union all
    select
        old_code as code,
        new_code as other_code
    from lines
    where new_code is not null
    union all
    select
        new_code as code,
        old_code as other_code
    from lines
    where new_code is not null
),

-- each code with all codes of its stock, itself too
stocks as (
    select
        code,
        other_code
    from pairs
    union
    select
        s.code,
        p.other_code
    from stocks as s
    inner join pairs as p on s.other_code = p.code
),

changes as (
    select distinct on (o.code)
        o.code as old_code,
        s.other_code as new_code,
        (
            select p.other_code from pairs as p
            inner join ranked as r on p.other_code = r.code
            where p.code = o.code
            order by p.other_code = s.other_code desc, r.place desc limit 1
        ) as other_code,
        o.last_trade_date
    from stocks as s
    inner join ranked as o on s.code = o.code
    left join ranked as n on s.other_code = n.code
    where not exists (select 1 from lines as l where l.old_code in (s.code, s.other_code))
    order by o.code asc, n.place desc
)

select
    c.old_code,
    c.new_code,
    c.other_code,
    (
        select b.trade_date from {{ ref('stg_tdx__kline_daily') }} as b
        where b.code = c.new_code and b.trade_date > c.last_trade_date
        order by b.trade_date limit 1
    ) as valid_from
from changes as c
where c.old_code <> c.new_code
