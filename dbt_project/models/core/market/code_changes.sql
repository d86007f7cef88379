{{ config(
    materialized='followed',
    unique_key=['old_code'],
    indexes=[{'columns': ['new_code']}],
    meta={'entity': 'old_code'},
) }}

with recursive lines as (
    select
        old_code,
        new_code,
        valid_from,
        source
    from {{ ref('code_changes_known') }}
    where new_code <> 'none'
),

followed as (
    select * from lines
    union
    select
        f.old_code,
        l.new_code,
        f.valid_from,
        f.source
    from followed as f
    inner join lines as l on f.new_code = l.old_code
)

select
    old_code,
    new_code,
    valid_from,
    source
from followed
where new_code not in (select l.old_code from lines as l)
