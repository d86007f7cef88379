{# The lines of a seed that users edit: cells without the spaces around them, null where empty. #}
{% macro seed_lines(seed, columns) -%}
    select
        {% for column in columns -%}
        nullif(btrim({{ column }}, e' \t\r\n\u00a0\u3000\ufeff'), '') as {{ column }},
        {% endfor -%}
        line
    from {{ ref(seed) }}
    where coalesce({{ columns | join(', ') }}) is not null
{%- endmacro %}
