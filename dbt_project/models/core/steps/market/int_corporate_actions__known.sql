{{ config(
    materialized='followed',
    unique_key=['code', 'ex_date', 'source', 'seq'],
    meta={
        'follows': {
            'raw_tdx.corporate_action': 'code',
            'raw_tdx.capital_event': 'code',
            'raw_tdx.security': 'code',
        },
        'by': 'ex_date',
    },
) }}
{%- set known = [
    'code', 'ex_date', 'source', 'seq', 'category', 'cash_per10_yuan', 'bonus_total_per10',
    'rights_per10', 'rights_price_yuan', 'split_ratio', 'total_shares_10k', 'float_shares_10k',
] -%}

with landed as (
    select * from {{ changed(ref('stg_tdx__corporate_action'), by='ex_date') }}
    where not is_withdrawn
),

actions as (
    select
        t.*,
        min(p.place) over (partition by t.code) as best_place,
        p.place
    from landed as t
    inner join {{ ref('int_corporate_actions__sources') }} as p on t.source = p.source
),

overrides as (
    select * from {{ changed(ref('int_corporate_actions__overrides'), by='code') }}
),

-- one source per code: two lists of the same events must not add up
chosen as (
    select
        {{ known | join(', ') }}, adjusts_price, source_ref
    from actions as a
    where
        place = best_place
        and not exists (
            select 1 from overrides as o
            where o.code = a.code and o.ex_date = a.ex_date and o.action in ('remove', 'replace')
        )
    union all
    select
        code,
        ex_date,
        'override' as source,
        (row_number() over (
            partition by code, ex_date
            order by
                category, cash_per10_yuan, bonus_total_per10, rights_per10, rights_price_yuan,
                split_ratio, reason
        ))::integer as seq,
        category,
        cash_per10_yuan,
        bonus_total_per10,
        rights_per10,
        rights_price_yuan,
        split_ratio,
        null::numeric(24, 9) as total_shares_10k,
        null::numeric(24, 9) as float_shares_10k,
        null::boolean as adjusts_price,
        'override: ' || reason as source_ref
    from overrides
    where action in ('add', 'replace')
),

-- A rights price without rights is a public offer; a row of zeros is a change of share counts. One
-- that leaves no share would make m zero or less, by which prices are divided.
judged as (
    select
        *,
        coalesce(adjusts_price, true) and coalesce(
            case category
                when 1
                    then
                        (cash_per10_yuan <> 0 or bonus_total_per10 <> 0 or rights_per10 <> 0)
                        and bonus_total_per10 >= 0 and rights_per10 >= 0
                when 11 then split_ratio > 0 and split_ratio <> 1
            end,
            false
        ) as has_effect,
        {{ has_foreign_money() | indent(8) }} as has_foreign_money
    from chosen
)

select
    {{ known | join(', ') }},
    has_effect as adjusts_price,
    case
        when not has_effect then 1
        when category = 11 then trim_scale(split_ratio)
        -- rights without their price would count as free
        when has_foreign_money then trim_scale((10 + bonus_total_per10) * 0.1)
        else trim_scale((10 + bonus_total_per10 + rights_per10) * 0.1)
    end as m,
    case
        when not has_effect or category = 11 or has_foreign_money then 0
        else trim_scale((cash_per10_yuan - rights_per10 * rights_price_yuan) * 0.1)
    end as c,
    source_ref
from judged
