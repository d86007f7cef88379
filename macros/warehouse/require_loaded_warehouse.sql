{#
    Refuse a warehouse without schema ops and the landed tables, which a load creates: every model
    would fail with an error of its own (where they are empty, say so); and one whose tables lack
    columns that models read. The columns of routes and files may come later, once the table is not
    in use (see route_columns). A table with a column that is not declared is left to its models: a
    renamed column costs no other table's, and a load of its source says what to do.
#}
{% macro require_loaded_warehouse() -%}
    {%- if execute -%}
        {%- if run_query("select to_regclass('ops.change_cursors') is null").rows[0][0] -%}
            {{ exceptions.raise_compiler_error(
                "This warehouse holds nothing to build from yet. Load it first: loaders run"
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
        {%- set read = ["('ops', 'change_cursors', 'left_day')"] -%}
        {%- set ours = ['ops', 'raw_tdx', 'raw_ib', 'raw_tq'] -%}
        {%- for node in graph.sources.values() if node.source_name in ours -%}
            {%- for column in node.columns if column not in ['route_no', 'file_no'] -%}
                {%- set name = [node.schema, node.identifier, column] | join("', '") -%}
                {%- do read.append("('" ~ name ~ "')") -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- set lacking = run_query("
            with declared as (
                select
                    schema_name || '.' || table_name as table_name,
                    column_name,
                    to_regclass(format('%I.%I', schema_name, table_name)) as table_oid
                from (values " ~ read | join(', ') ~ ") as r (schema_name, table_name, column_name)
            ),
            present as (
                select
                    attrelid,
                    attname
                from pg_attribute
                where
                    attrelid in (select table_oid from declared)
                    and attnum > 0
                    and not attisdropped
            )
            select table_name || '.' || column_name as name
            from declared as d
            where
                not exists (
                    select 1 from present as p
                    where p.attrelid = d.table_oid and p.attname = d.column_name
                )
                and not exists (
                    select 1 from present as p
                    where
                        p.attrelid = d.table_oid
                        and p.attname not in (
                            '_dlt_load_id', 'route_no', 'file_no', 'source_route', 'fetched_at',
                            'is_final'
                        )
                        and not exists (
                            select 1 from declared as o
                            where o.table_oid = p.attrelid and o.column_name = p.attname
                        )
                )
            order by 1
        ").columns[0].values() -%}
        {%- if lacking -%}
            {{ exceptions.raise_compiler_error(
                "This warehouse is of an earlier version, and lacks " ~ lacking | join(', ')
                ~ ". Bring it up to this one, once: quotemill build, or loaders run"
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
