{#
    Let the nodes commit what the coordinator has committed. Rows of a node that stopped between the
    two are not seen until Citus does so, once a minute: a build before that would take their
    changes from the feed, and not see the rows. A role without the privilege waits instead.

    A database with TimescaleDB too, whose tables exclude those of Citus, is refused
    (loaders/warehouse/citus.py does the same).
#}
{% macro citus__start_run() -%}
    {%- if run_query("select 1 from pg_extension where extname = 'timescaledb'").rows -%}
        {{ exceptions.raise_compiler_error(
            "This warehouse has both Citus and TimescaleDB, whose tables exclude each other. Drop"
            ~ " the extension that has none of the warehouse's tables, or use another database"
        ) }}
    {%- endif -%}
    {%- do run_query(
        "select recover_prepared_transactions() "
        ~ "where has_function_privilege('recover_prepared_transactions()', 'execute')"
    ) -%}
{%- endmacro %}
