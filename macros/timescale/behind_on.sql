{#
    The models that outlive a table (meta.outlives) and follow it, and have yet to see rows of it: a row
    that goes by age before they did is in none of them. The log says that it stays.
#}
{% macro behind_on(table) -%}
    {%- set readers = [] -%}
    {%- for node in graph.nodes.values() -%}
        {%- set meta = node.config.get('meta') or {} -%}
        {%- if meta.get('outlives') == table and table in (meta.get('follows') or {}) -%}
            {%- do readers.append(node.schema ~ '.' ~ node.alias) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set behind = run_query("
        select r.reader
        from unnest('{" ~ readers | join(',') ~ "}'::text[]) as r (reader)
        left join ops.change_cursors as s
            on r.reader = s.reader and to_regclass(r.reader) is not null
        where exists (
            select 1 from ops.changes as c
            where
                c.table_name = '" ~ table ~ "'
                and pg_visible_in_snapshot(c.xid, s.seen) is not true
        )
        order by 1
    ").columns[0].values() -%}
    {%- if behind -%}
        {%- do log("old days of " ~ table ~ " stay until " ~ behind | join(', ') ~ " has read them", info=true) -%}
    {%- endif -%}
    {{ return(behind) }}
{%- endmacro %}
