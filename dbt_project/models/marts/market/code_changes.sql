select
    old_code,
    new_code,
    valid_from,
    source
from {{ ref('int_code_changes__read') }}
where fault is null
