{#
    The schema a model asks for, unchanged; dbt's own rule would put the target's name before it.
    With another market schema than `market` it carries that name, so that two share a database.
    Warehouse.inner_schema does the same.
#}
{% macro generate_schema_name(custom_schema_name, node=none) -%}
    {%- if not custom_schema_name -%}
        {{ target.schema }}
    {%- elif target.schema == 'market' -%}
        {{ custom_schema_name | trim }}
    {%- else -%}
        {{ custom_schema_name | trim }}_{{ target.schema }}
    {%- endif -%}
{%- endmacro %}
