{#
    A query of the stretches of days that changed codes have in `relation`, a code in one row: an
    array of their first days, `starts`, and of each of the `columns`, names with expressions.
    width_bucket finds the place of a day among the starts in a tenth of the time that a lookup by
    the key takes; a join would try them all.
#}
{% macro stretches_by_code(relation, starts, columns) -%}
    select
        code,
        {% for name, expression in columns.items() -%}
            array_agg({{ expression }} order by valid_from) as {{ name }},
        {% endfor -%}
        array_agg(valid_from order by valid_from) as {{ starts }}
    from {{ changed(relation, by='code') }}
    group by code
{%- endmacro %}
