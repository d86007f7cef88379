select
    code,
    ex_date,
    {{ event_of_a_day() | indent }},
    coalesce(bool_or(is_inferred), false) as is_inferred
from {{ ref('int_corporate_actions__chosen') }}
where is_active
group by code, ex_date
