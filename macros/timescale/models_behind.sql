{#
    The models that outlive a table (meta.outlives) and have yet to read rows of it: a row dropped
    by age before that is in none of them. The log says that it stays.
#}
{% macro models_behind(table) -%}
    {%- set behind = run_query(unread_models(table) ~ " order by 1").columns[0].values() -%}
    {%- if behind -%}
        {%- do log(
            "old days of " ~ table ~ " stay until " ~ behind | join(', ') ~ " has read them",
            info=true
        ) -%}
    {%- endif -%}
    {{ return(behind) }}
{%- endmacro %}

{#
    The query for them. Only models count that read the table itself, by meta.follows or as a
    continuous aggregate; in another market schema of this database the models of the same names,
    while it is built.
#}
{% macro unread_models(table) -%}
    {%- set is_aggregated = timescale_edition() == 'tsl' and is_hypertable(table) -%}
    {%- set readers, names = [], [] -%}
    {%- for node in graph.nodes.values() -%}
        {%- set meta = node.config.get('meta') or {} -%}
        {%- set aggregated = (meta.get('continuous') or {}).get('of') if is_aggregated -%}
        {%- set follows = meta.get('follows') or {} -%}
        {%- if meta.get('outlives') == table and (table == aggregated or table in follows) -%}
            {%- do readers.append(node.schema ~ '.' ~ node.alias) -%}
            {%- do names.append(node.alias) -%}
        {%- endif -%}
    {%- endfor -%}
    select r.reader
    from (
        select unnest('{{ '{' ~ readers | join(',') ~ '}' }}'::text[]) as reader
        union
        select schema_name || '.' || relation_name from ops.managed_relation
        where
            relation_name = any('{{ '{' ~ names | join(',') ~ '}' }}')
            and schema_name || '.' || relation_name in (select reader from ops.change_cursors)
            and to_regclass(format('%I.%I', schema_name, relation_name)) is not null
    ) as r
    left join ops.change_cursors as s
        on r.reader = s.reader and to_regclass(r.reader) is not null
    where exists (
        select 1 from ops.changes as c
        where
            c.table_name = '{{ table }}'
            and pg_visible_in_snapshot(c.xid, s.seen) is not true
    )
{%- endmacro %}
