{{ config(
    materialized='followed',
    unique_key=['old_code'],
    indexes=[{'columns': ['new_code']}],
    meta={'entity': 'old_code'},
) }}

select
    old_code,
    new_code,
    valid_from,
    source
from {{ ref('stg_seeds__code_change') }}
where rule is null and new_code is not null
union all
select
    old_code,
    new_code,
    coalesce(valid_from, date '9999-12-31') as valid_from,
    'identical bars' as source
from {{ ref('int_code_changes__found') }}
