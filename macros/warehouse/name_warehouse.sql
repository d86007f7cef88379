{# Say which warehouse this is: plain dbt takes the one of the last load, wherever it is called. #}
{% macro name_warehouse() -%}
    {%- if execute -%}
        {%- do log(
            "Warehouse: " ~ target.dbname ~ " at " ~ target.host ~ ":" ~ target.port
            ~ ", schema " ~ target.schema,
            info=true
        ) -%}
    {%- endif -%}
{%- endmacro %}
