{# The columns of a model's unique_key, which may be the name of one, as in dbt. #}
{% macro key_columns() -%}
    {%- set key = config.get('unique_key') -%}
    {{ return([key] if key is string else key) }}
{%- endmacro %}
