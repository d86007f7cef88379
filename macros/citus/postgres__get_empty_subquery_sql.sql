{#
    dbt's own, but for `where false` on Citus: below PostgreSQL 17 it refuses that for a distributed
    table with an outer join to a local one.
#}
{% macro postgres__get_empty_subquery_sql(select_sql, select_sql_header=none) -%}
    {%- if not run_query("select 1 from pg_extension where extname = 'citus'").rows -%}
        {{ return(default__get_empty_subquery_sql(select_sql, select_sql_header)) }}
    {%- endif -%}
    {{ select_sql_header or '' }}
    select * from (
        {{ select_sql }}
    ) as query
    limit 0
{%- endmacro %}
