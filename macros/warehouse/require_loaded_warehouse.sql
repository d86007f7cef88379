{#
    Refuse a warehouse without schema ops and the landed tables, which a load creates: every model
    would fail with an error of its own; and one whose tables lack columns that models read. The
    columns of routes and files may come later, once the table is not in use (see route_columns).
#}
{% macro require_loaded_warehouse() -%}
    {%- if execute -%}
        {%- if run_query("select to_regclass('ops.change_cursors') is null").rows[0][0] -%}
            {{ exceptions.raise_compiler_error(
                "This warehouse holds nothing to build from yet. Load it first: loaders run"
            ) }}
        {%- endif -%}
        {%- set read = ["('ops', 'change_cursors', 'left_day')"] -%}
        {%- for node in graph.sources.values() -%}
            {%- for column in node.columns if column not in ['route_no', 'file_no'] -%}
                {%- set name = [node.schema, node.identifier, column] | join("', '") -%}
                {%- do read.append("('" ~ name ~ "')") -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- set lacking = run_query("
            select r.schema_name || '.' || r.table_name || '.' || r.column_name as name
            from (values " ~ read | join(', ') ~ ") as r (schema_name, table_name, column_name)
            where not exists (
                select 1 from pg_attribute as a
                where a.attrelid = to_regclass(format('%I.%I', r.schema_name, r.table_name))
                    and a.attname = r.column_name
                    and a.attnum > 0
                    and not a.attisdropped
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
