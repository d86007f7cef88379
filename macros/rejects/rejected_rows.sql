{# The rejected rows of a source, as they landed in its schema. #}
{% macro rejected_rows(schema) -%}
    select
        dataset,
        row_key,
        field,
        rule,
        value,
        is_withdrawn is true as is_withdrawn,
        fetched_at
    from {{ source(schema, 'rejected_row') }}
{%- endmacro %}
