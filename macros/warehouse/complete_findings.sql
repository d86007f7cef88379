{#
    At the end of a run: qa.findings of the checks that were built, where a failure in one source
    made dbt skip the view and no earlier build left one. Each check that is missing is an error in
    it. The next good build replaces the view.
#}
{% macro complete_findings() -%}
    {%- if execute and flags.WHICH in ('build', 'run') -%}
        {%- for result in results
            if result.node.name == 'findings' and result.status in ('error', 'skipped') -%}
            {%- set node = result.node -%}
            {%- if not adapter.get_relation(node.database, node.schema, node.alias) -%}
                {%- set parts = [] -%}
                {%- for unique_id in node.depends_on.nodes -%}
                    {%- set check = graph.nodes[unique_id] -%}
                    {%- if adapter.get_relation(check.database, check.schema, check.alias) -%}
                        {%- do parts.append('select * from ' ~ check.relation_name) -%}
                    {%- else -%}
                        {%- do parts.append("
                            select
                                'check_not_built'::text as check_name,
                                'error'::text as severity,
                                '" ~ check.name ~ "'::text as subject,
                                null::date as trade_date,
                                'a model that it reads failed: the build names it;'
                                || ' fix: quotemill build' as evidence
                        ") -%}
                    {%- endif -%}
                {%- endfor -%}
                create view {{ node.relation_name }} as {{ parts | join(' union all ') }};
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
