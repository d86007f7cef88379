{{ config(
    materialized='followed',
    unique_key=['code', 'event_date', 'category', 'seq'],
    meta={'by': 'event_date'},
) }}

-- as int_corporate_actions__inherited
select
    c.old_code as code,
    e.event_date,
    e.category,
    e.seq,
    e.value1,
    e.value2,
    e.value3,
    e.value4,
    e.fetched_at
from {{ ref('code_changes') }} as c
inner join {{ ref('stg_tdx__capital_event') }} as e on c.new_code = e.code
where
    not exists (
        select 1 from {{ ref('stg_tdx__capital_event') }} as o
        where
            o.code = c.old_code
            and (o.event_date < c.valid_from or o.event_date = e.event_date)
    )
