{#
    The position of this model in the change feed: `seen`, the snapshot of its cursor, or none where
    it has no cursor or its query (in pg_temp.quotemill_probe) is another one; `now`; and the
    query's `fingerprint`. `reads` is what else decides what the query returns.
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

{# Store the cursor: what it has passed is done. #}
{% macro move_cursor(cursor) -%}
    {%- do run_query(
        "insert into ops.change_cursors (reader, seen, fingerprint) values ('"
        ~ [this.schema ~ '.' ~ this.identifier, cursor['now'], cursor['fingerprint']]
        | join("', '") ~ "')
        on conflict (reader) do update set
            seen = excluded.seen,
            fingerprint = excluded.fingerprint,
            moved_at = excluded.moved_at"
    ) -%}
{%- endmacro %}

{# The condition on ops.changes as `c` for the changes of a table between two snapshots. #}
{% macro change_condition(name, seen, now) -%}
    c.table_name = '{{ feed_name(name) }}'
                and c.xid >= pg_snapshot_xmin('{{ seen }}')
                and not pg_visible_in_snapshot(c.xid, '{{ seen }}')
                and pg_visible_in_snapshot(c.xid, '{{ now }}')
{%- endmacro %}
