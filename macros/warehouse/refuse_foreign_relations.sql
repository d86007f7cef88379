{#
    Never replace what this project did not build.

    Stop the run if a relation with the name of one of our models, seeds or snapshots exists in its
    schema but not in ops.managed_relation. Checks every one of the project, not only the selected
    ones, before anything is written.
#}
{% macro refuse_foreign_relations() -%}
    {%- if execute -%}
        {%- set names = [] -%}
        {%- for node in graph.nodes.values()
            if node.resource_type in ('model', 'seed', 'snapshot') -%}
            {%- do names.append("('" ~ node.schema ~ "', '" ~ node.alias ~ "')") -%}
        {%- endfor -%}
        {%- set foreign = run_query("
            select n.nspname || '.' || c.relname as relation
            from pg_class as c
            inner join pg_namespace as n on c.relnamespace = n.oid
            where (n.nspname, c.relname) in (" ~ names | join(', ') ~ ")
                and not exists (
                    select 1 from ops.managed_relation as m
                    where m.schema_name = n.nspname and m.relation_name = c.relname
                )
            order by 1
        ").columns[0].values() -%}
        {%- if foreign -%}
            {{ exceptions.raise_compiler_error(
                "These relations were not built by quotemill and would be replaced: "
                ~ foreign | join(', ')
                ~ ". Choose another schema name (QUOTEMILL_MARKET_SCHEMA, now " ~ target.schema
                ~ ") or another warehouse (QUOTEMILL_WAREHOUSE_URL), or rename them."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
