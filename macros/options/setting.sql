{# A number of ops.settings by its name, or `otherwise` before the loaders have written it. #}
{% macro setting(name, otherwise) -%}
    coalesce(
        (
            select s.value::numeric from {{ ref('stg_ops__setting') }} as s
            where s.key = '{{ name }}'
        ),
        {{ otherwise }}
    )
{%- endmacro %}

{# A wall clock of New York, HH:MM, by its name in ops.settings, or `otherwise`. #}
{% macro clock_setting(name, otherwise) -%}
    coalesce(
        (select s.value::time from {{ ref('stg_ops__setting') }} as s where s.key = '{{ name }}'),
        time '{{ otherwise }}'
    )
{%- endmacro %}
