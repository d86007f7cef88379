{{ config(
    materialized='followed',
    unique_key=['code', 'ex_date', 'source', 'seq'],
    meta={'by': 'ex_date'},
) }}

-- Sources list the events of a stock under the code that it has today, of the time before too. The
-- few changes are looked up each time: the feed has the new code's name for them.
select
    c.old_code as code,
    a.ex_date,
    a.source,
    a.seq,
    a.category,
    a.cash_per10_yuan,
    a.bonus_total_per10,
    a.rights_per10,
    a.rights_price_yuan,
    a.split_ratio,
    a.total_shares_10k,
    a.float_shares_10k,
    a.adjusts_price,
    a.m,
    a.c,
    a.source_ref
from {{ ref('code_changes') }} as c
inner join {{ ref('int_corporate_actions__known') }} as a on c.new_code = a.code
where
    not exists (
        select 1 from {{ ref('int_corporate_actions__known') }} as o
        where
            o.code = c.old_code
            and (o.ex_date < c.valid_from or o.ex_date = a.ex_date)
    )
