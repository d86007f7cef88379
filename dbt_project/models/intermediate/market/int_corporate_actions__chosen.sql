-- only where the user asked for it, and never on a day that an override speaks of
with applied as (
    select i.*
    from {{ ref('int_corporate_actions__inferred') }} as i
    where
        exists (
            select 1 from {{ source('ops', 'settings') }} as s
            where s.key = 'apply_inferred_actions' and s.value = 'true'
        )
        and not exists (
            select 1 from {{ ref('corporate_action_overrides') }} as o
            where o.code = i.code and o.ex_date::date = i.ex_date
        )
)

select
    *,
    false as is_inferred
from {{ ref('int_corporate_actions__known') }}
union all
select
    a.code,
    a.ex_date,
    'inferred' as source,
    1 as seq,
    1 as category,
    (10 * a.c)::numeric(24, 9) as cash_per10_yuan,
    (10 * (a.m - 1))::numeric(24, 9) as bonus_total_per10,
    0::numeric(24, 9) as rights_per10,
    0::numeric(24, 9) as rights_price_yuan,
    null::numeric(24, 9) as split_ratio,
    null::numeric(24, 9) as total_shares_10k,
    null::numeric(24, 9) as float_shares_10k,
    true as adjusts_price,
    a.m,
    a.c,
    coalesce(a.ex_date <= d.as_of_date, false) as is_active,
    format('inferred from %s adjusted bars of the vendor', a.fitted_bar_count) as source_ref,
    true as is_inferred
from applied as a
cross join {{ ref('int_market_day__latest') }} as d
