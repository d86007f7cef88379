with actions as (
    select * from {{ ref('int_corporate_actions__chosen') }} where is_active
),

final as (
    select
        code,
        ex_date,
        {{ event_of_a_day() | indent(8) }},
        coalesce(bool_or(is_inferred), false) as is_inferred
    from actions
    group by code, ex_date
)

select * from final
