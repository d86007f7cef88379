{# A number of ops.settings by its name, or `otherwise` where the loaders have not told it yet. #}
{% macro setting(name, otherwise) -%}
    coalesce(
        (select s.value::numeric from {{ source('ops', 'settings') }} as s where s.key = '{{ name }}'),
        {{ otherwise }}
    )
{%- endmacro %}

{# A wall clock of New York likewise: HH:MM. #}
{% macro clock_setting(name, otherwise) -%}
    coalesce(
        (select s.value::time from {{ source('ops', 'settings') }} as s where s.key = '{{ name }}'),
        time '{{ otherwise }}'
    )
{%- endmacro %}
