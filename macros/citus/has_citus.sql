{# Whether the database has Citus, detected at run time: the same however dbt was called. #}
{% macro has_citus() -%}
    {{ return(execute and run_query(
        "select 1 from pg_extension where extname = 'citus'"
    ).rows | length > 0) }}
{%- endmacro %}
