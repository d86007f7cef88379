with changes as (
    select
        conid,
        max(valid_to) as last_changed
    from {{ ref('stg_ib__former_contract') }}
    group by conid
)

select
    f.conid,
    f.valid_from,
    f.valid_to,
    f.symbol,
    {{ option_terms('f') }},
    f.is_adjusted
from {{ ref('stg_ib__former_contract') }} as f
union all
select
    k.conid,
    coalesce(c.last_changed, date '1900-01-01') as valid_from,
    null::date as valid_to,
    k.symbol,
    {{ option_terms('k') }},
    k.is_adjusted
from {{ ref('stg_ib__contract') }} as k
left join changes as c on k.conid = c.conid
