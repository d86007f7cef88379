{{ config(
    materialized='followed',
    unique_key=['old_code'],
    indexes=[{'columns': ['old_code'], 'unique': true}],
    meta={'entity': 'old_code'},
) }}

-- prices and turnover of two months: no two stocks have them in common
with shared_months as (
    select
        bars_hash,
        code,
        bar_count
    from {{ ref('int_bars__hashed') }}
    where
        bars_hash in (
            select h.bars_hash from {{ ref('int_bars__hashed') }} as h
            group by h.bars_hash having count(*) > 1
        )
),

twins as (
    select
        o.code,
        n.code as other_code
    from shared_months as o
    inner join shared_months as n
        on o.bars_hash = n.bars_hash and o.code <> n.code and left(o.code, 2) = left(n.code, 2)
    group by o.code, n.code
    having sum(o.bar_count) >= 40
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

known as (
    select
        old_code,
        new_code
    from {{ ref('stg_seeds__code_change') }}
    where rule is null
),

-- of three copies each is followed by the next
followed as (
    select distinct on (o.code)
        o.code as old_code,
        n.code as new_code,
        o.last_trade_date,
        o.place
    from twins as t
    inner join ranked as o on t.code = o.code
    inner join ranked as n on t.other_code = n.code and o.place < n.place
    where
        not exists (
            select 1 from known as k
            where k.old_code in (o.code, n.code) or k.new_code = n.code
        )
    order by o.code, n.place
),

changes as (
    select distinct on (new_code) *
    from followed
    order by new_code asc, place desc
)

select
    c.old_code,
    c.new_code,
    (
        select b.trade_date from {{ ref('stg_tdx__kline_daily') }} as b
        where b.code = c.new_code and b.trade_date > c.last_trade_date
        order by b.trade_date limit 1
    ) as valid_from
from changes as c
