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
from {{ inherited_rows(ref('stg_tdx__capital_event'), 'event_date') }}
