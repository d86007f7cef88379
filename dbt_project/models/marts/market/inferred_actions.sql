select
    i.code,
    i.ex_date,
    i.last_bar_date,
    i.m,
    i.c,
    i.estimated_a,
    i.estimated_b,
    i.fit_error,
    i.fitted_bar_count,
    a.code is not null as is_applied,
    exists(
        select 1 from {{ ref('int_corporate_actions__overrides') }} as o
        where o.code = i.code and o.ex_date = i.ex_date
    ) as is_overridden
from {{ ref('int_corporate_actions__inferred') }} as i
left join {{ ref('corporate_actions') }} as a
    on i.code = a.code and i.ex_date = a.ex_date and a.is_inferred
