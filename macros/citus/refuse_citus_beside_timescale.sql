{#
    Refuse a database with both Citus and TimescaleDB, whose tables exclude each other
    (loaders/warehouse/citus.py does the same).
#}
{% macro refuse_citus_beside_timescale() -%}
    {%- if execute and run_query("
        select 1 from pg_extension where extname in ('citus', 'timescaledb')
    ").rows | length > 1 -%}
        {{ exceptions.raise_compiler_error(
            "This warehouse has both Citus and TimescaleDB, whose tables exclude each other. Drop"
            ~ " the extension that has none of the warehouse's tables, or use another database"
        ) }}
    {%- endif -%}
{%- endmacro %}
