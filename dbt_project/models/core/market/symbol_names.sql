{{ config(
    materialized='followed',
    unique_key=['code', 'valid_from'],
) }}

-- A wrong clock leaves a name that ends before it begins. Of several on a day the last counts.
with by_day as (
    select distinct on (code, valid_from)
        code,
        valid_from,
        name
    from (
        select
            code,
            (dbt_valid_from at time zone 'Asia/Shanghai')::date as valid_from,
            dbt_valid_from,
            name
        from {{ ref('int_symbol_names__observed') }}
        where dbt_valid_to is null or dbt_valid_to > dbt_valid_from
    ) as names
    order by code asc, valid_from asc, dbt_valid_from desc
),

compared as (
    select
        *,
        lag(name) over (partition by code order by valid_from) as name_before
    from by_day
),

observed as (
    select
        code,
        valid_from,
        lead(valid_from, 1, date '9999-12-31') over (partition by code order by valid_from)
            as valid_to,
        name,
        name_before,
        'observed' as basis
    from compared
    where name is distinct from name_before
),

stretches as (
    select * from observed
    union all
    select
        code,
        date '1900-01-01' as valid_from,
        valid_from as valid_to,
        name,
        name_before,
        'inferred' as basis
    from observed
    where name_before is null
)

select
    code,
    valid_from,
    valid_to,
    name,
    -- ST, *ST, SST, S*ST, and these behind what the exchange puts before a name on single days
    name ~ '^(N|XD|XR|DR)?S?[*]?ST' as is_st,
    basis
from stretches
