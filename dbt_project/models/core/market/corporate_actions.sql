{%- set columns = [
    'code', 'ex_date', 'source', 'seq', 'category', 'cash_per10_yuan', 'bonus_total_per10',
    'rights_per10', 'rights_price_yuan', 'split_ratio', 'total_shares_10k', 'float_shares_10k',
    'adjusts_price', 'm', 'c', 'source_ref', 'is_inferred',
] -%}
{{ config(
    materialized='followed',
    unique_key=['code', 'ex_date', 'source', 'seq'],
    meta={
        'follows': {
            'int_corporate_actions__known': 'day',
            'int_corporate_actions__inferred': 'day',
            'int_market_day__as_of': 'from_day',
        },
        'by': 'ex_date',
    },
) }}

with known as (
    select
        *,
        false as is_inferred
    from {{ changed(ref('int_corporate_actions__known'), by='ex_date') }}
),

proposals as (
    select * from {{ changed(ref('int_corporate_actions__inferred'), by='ex_date') }}
),

-- only by the setting, and never on a day with an override
inferred as (
    select
        i.code,
        i.ex_date,
        'inferred' as source,
        1 as seq,
        1 as category,
        (10 * i.c)::numeric(24, 9) as cash_per10_yuan,
        (10 * (i.m - 1))::numeric(24, 9) as bonus_total_per10,
        0::numeric(24, 9) as rights_per10,
        0::numeric(24, 9) as rights_price_yuan,
        null::numeric(24, 9) as split_ratio,
        null::numeric(24, 9) as total_shares_10k,
        null::numeric(24, 9) as float_shares_10k,
        true as adjusts_price,
        i.m,
        i.c,
        format('inferred from %s adjusted bars of the vendor', i.fitted_bar_count) as source_ref,
        true as is_inferred
    from proposals as i
    where
        exists (
            select 1 from {{ ref('stg_ops__setting') }} as s
            where s.key = 'apply_inferred_actions' and s.value = 'true'
        )
        and not exists (
            select 1 from {{ ref('int_corporate_actions__overrides') }} as o
            where o.code = i.code and o.ex_date = i.ex_date
        )
),

actions as (
    select {{ columns | join(', ') }} from known
    union all
    select {{ columns | join(', ') }} from inferred
)

select
    a.*,
    coalesce(a.adjusts_price and a.ex_date <= d.as_of_date, false) as is_active
from actions as a
cross join {{ ref('int_market_day__as_of') }} as d
