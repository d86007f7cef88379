{#
    At the end of a run: qa.findings and qa.freshness of what was built, where a failure in one
    source made dbt skip them and no earlier build left them. What is missing is an error in
    qa.findings.
#}
{% macro complete_unions() -%}
    {%- if execute and flags.WHICH in ('build', 'run') -%}
        {%- for result in results
            if result.node.name in ('findings', 'freshness')
            and result.status in ('error', 'skipped') -%}
            {%- set node = result.node -%}
            {%- if not adapter.get_relation(node.database, node.schema, node.alias) -%}
                {%- set parts = [] -%}
                {%- for unique_id in node.depends_on.nodes -%}
                    {%- set part = graph.nodes[unique_id] -%}
                    {%- do parts.append(api.Relation.create(
                        schema=part.schema, identifier=part.alias
                    )) -%}
                {%- endfor -%}
                create view {{ node.relation_name }} as {{ read_each(node.name, parts) }};
                insert into ops.managed_relation (schema_name, relation_name)
                values ('{{ node.schema }}', '{{ node.alias }}')
                on conflict (schema_name, relation_name) do nothing;
                {%- if reader_role() %}
                grant select on {{ node.relation_name }} to {{ reader_role() }};
                {%- endif %}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
