{# A value of ops.settings by its name, or `otherwise` before the loaders have written it. #}
{% macro setting(name, otherwise, type='numeric') -%}
    coalesce(
        (
            select s.value::{{ type }} from {{ ref('stg_ops__setting') }} as s
            where s.key = '{{ name }}'
        ),
        {{ otherwise }}
    )
{%- endmacro %}
