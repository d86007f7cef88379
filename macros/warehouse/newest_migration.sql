{# The newest migration of this version: loaders/warehouse/migrations, which dbt cannot list. #}
{% macro newest_migration() -%}
    {{ return('0015_quotes.sql') }}
{%- endmacro %}
