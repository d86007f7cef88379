select
    old_code,
    new_code,
    valid_from,
    source
from {{ ref('stg_seeds__code_change') }}
where rule is null and new_code is not null
