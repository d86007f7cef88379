{#
    The rows `e` of `relation` under the new code of each change `c`, to follow `from`: the old code
    inherits them unless it has a row of before the change, or one of the same `day`.

    The few changes are looked up each time: the feed has the new code's name for these rows.
#}
{% macro inherited_rows(relation, day) -%}
    {{ ref('code_changes') }} as c
    inner join {{ relation }} as e on c.new_code = e.code
    where
        not exists (
            select 1 from {{ relation }} as o
            where
                o.code = c.old_code
                and (o.{{ day }} < c.valid_from or o.{{ day }} = e.{{ day }})
        )
{%- endmacro %}
