{#
    At the end of a build: drop the relations of removed_models, which would look as if they were
    kept up to date; in the schemas of this build only. One that something else reads stays, and is
    named: a view of a user, or a model of ours until it is built again.
#}
{% macro drop_removed_relations() -%}
    {%- if execute and flags.WHICH in ('build', 'run') -%}
        {%- set names = removed_models() | join("', '") -%}
        {%- set models = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model')
            | list -%}
        {%- set schemas = models | map(attribute='schema') | unique | join("', '") -%}
        {%- set dropped = [] -%}
        {%- for row in run_query("
            select
                m.schema_name || '.' || m.relation_name as name,
                case c.relkind when 'v' then 'view' else 'table' end as kind
            from ops.managed_relation as m
            inner join pg_namespace as n on m.schema_name = n.nspname
            inner join pg_class as c on n.oid = c.relnamespace and m.relation_name = c.relname
            where m.schema_name in ('" ~ schemas ~ "') and m.relation_name in ('" ~ names ~ "')
            order by array_position(array['" ~ names ~ "'], m.relation_name)
        ").rows -%}
            {%- set readers = readers_of(row['name']) | reject('in', dropped) | list -%}
            {%- if readers -%}
                {%- do exceptions.warn(
                    row['name'] ~ " is no longer built, so its rows stay as they are; "
                    ~ readers | join(', ') ~ " still reads it"
                ) -%}
            {%- else -%}
                {%- do dropped.append(row['name']) -%}
                drop {{ row['kind'] }} {{ row['name'] }};
                delete from ops.managed_relation
                where schema_name || '.' || relation_name = '{{ row['name'] }}';
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
