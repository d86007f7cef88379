{# Whether Citus has spread a table, named with its schema, over nodes. #}
{% macro is_distributed(table) -%}
    {{ return(has_citus() and run_query(
        "select 1 from pg_dist_partition where logicalrelid = to_regclass('" ~ table ~ "')"
    ).rows | length > 0) }}
{%- endmacro %}
