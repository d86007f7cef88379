{# The schema of our own functions: that of the intermediate models. #}
{% macro inner_schema() -%}
    {{ generate_schema_name('quotemill_intermediate') }}
{%- endmacro %}
