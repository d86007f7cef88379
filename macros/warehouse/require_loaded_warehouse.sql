{#
    Refuse a warehouse without schema ops and the landed tables, which a load creates: every model
    would fail with an error of its own. Where they are empty, say so.
#}
{% macro require_loaded_warehouse() -%}
    {%- if execute -%}
        {%- if run_query("select to_regclass('ops.change_cursors') is null").rows[0][0] -%}
            {{ exceptions.raise_compiler_error(
                "This warehouse has nothing to build from yet. Load it first: loaders run"
            ) }}
        {%- endif -%}
        {%- set is_loaded = run_query("
            select
                exists (select 1 from ops.ingestion_state)
                or exists (select 1 from ops.changes)
                or exists (select 1 from ops.change_cursors)
        ").rows[0][0] -%}
        {%- if not is_loaded -%}
            {%- do log("Nothing is loaded yet, so the tables are empty: loaders run", info=true) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
