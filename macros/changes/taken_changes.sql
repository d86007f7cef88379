{# One row per code with changes taken for this model: the first and last date they touch. #}
{% macro taken_changes() -%}
    select
        code,
        min(first_date) as first_date,
        max(last_date) as last_date
    from quotemill_intermediate.change_queue
    where consumer = '{{ this.identifier }}' and is_taken
    group by code
{%- endmacro %}
