{{ config(
    materialized='followed',
    unique_key=['code', 'ex_date', 'source', 'seq'],
    meta={'by': 'ex_date'},
) }}

-- sources list the events of a stock under the code that it has today, of the time before too
select
    c.old_code as code,
    e.ex_date,
    e.source,
    e.seq,
    e.category,
    e.cash_per10_yuan,
    e.bonus_total_per10,
    e.rights_per10,
    e.rights_price_yuan,
    e.split_ratio,
    e.total_shares_10k,
    e.float_shares_10k,
    e.adjusts_price,
    e.m,
    e.c,
    e.source_ref
from {{ inherited_rows(ref('int_corporate_actions__known'), 'ex_date') }}
