{#
    Where this model stands in the feed: `seen`, the snapshot of its cursor, none where it has none or its
    query (in pg_temp.quotemill_probe) is another one, `now`, and the query's `fingerprint`. `reads` is
    what else decides what the query makes.
#}
{% macro change_cursor(reads) -%}
    {%- set fingerprint = query_fingerprint(reads) -%}
    {{ return(run_query(
        "select pg_current_snapshot()::text as now, '" ~ fingerprint ~ "' as fingerprint, (
            select seen::text from ops.change_cursors
            where reader = '" ~ this.schema ~ "." ~ this.identifier ~ "'
                and fingerprint = '" ~ fingerprint ~ "'
        ) as seen"
    ).rows[0]) }}
{%- endmacro %}

{# What the cursor has passed is done. #}
{% macro move_cursor(cursor) -%}
    {%- do run_query(
        "insert into ops.change_cursors (reader, seen, fingerprint) values ('"
        ~ [this.schema ~ '.' ~ this.identifier, cursor['now'], cursor['fingerprint']] | join("', '") ~ "')
        on conflict (reader) do update set
            seen = excluded.seen,
            fingerprint = excluded.fingerprint,
            moved_at = excluded.moved_at"
    ) -%}
{%- endmacro %}

{# The condition on ops.changes as `c` for what happened in a table between two snapshots. #}
{% macro happened_between(name, seen, now) -%}
    c.table_name = '{{ feed_name(name) }}'
                and c.xid >= pg_snapshot_xmin('{{ seen }}')
                and not pg_visible_in_snapshot(c.xid, '{{ seen }}')
                and pg_visible_in_snapshot(c.xid, '{{ now }}')
{%- endmacro %}
