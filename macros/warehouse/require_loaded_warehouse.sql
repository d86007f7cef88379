{#
    A load makes schema ops and the landed tables; without it every model would fail by itself. So it would in
    part where an earlier version made them, and models read a column that none of its tables has. The
    numbers of routes and files may come later, once nobody uses the table (see route_columns).
#}
{% macro require_loaded_warehouse() -%}
    {%- if execute -%}
        {%- if run_query("select to_regclass('ops.change_cursors') is null").rows[0][0] -%}
            {{ exceptions.raise_compiler_error(
                "This warehouse holds nothing to build from yet. Load it first: loaders run"
            ) }}
        {%- endif -%}
        {%- set read = [] -%}
        {%- for node in graph.sources.values() -%}
            {%- for column in node.columns if column not in ['route_no', 'file_no'] -%}
                {%- do read.append("('" ~ node.schema ~ "', '" ~ node.identifier ~ "', '" ~ column ~ "')") -%}
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
