select
    p.source,
    row_number() over (
        order by p.source = (
            select s.value from {{ ref('stg_ops__setting') }} as s
            where s.key = 'corporate_actions'
        ) desc nulls last, p.place
    )::integer as place
from (values ('csv', 1), ('gbbq', 2), ('xdxr', 3)) as p (source, place)
