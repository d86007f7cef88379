{# The columns of a model's unique_key, which may be the name of one, as in dbt. #}
{% macro key_columns() -%}
    {%- set key = config.get('unique_key') -%}
    {%- if not key -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ": a followed model has no unique_key; fix: add unique_key=['code',"
            ~ " 'trade_date'], the columns that no two of its rows share, to its config"
        ) }}
    {%- endif -%}
    {{ return([key] if key is string else key) }}
{%- endmacro %}
