{#
    The position of this model in the change feed: `seen`, the snapshot of its cursor, or none where
    it has no cursor or its query (in pg_temp.quotemill_probe) is another one; `now`; and the
    query's `fingerprint`. `reads` is what else decides what the query returns.

    The fingerprint is a hash of what decides the result of the query, besides the rows: the view
    that holds it, the views that it reads down to the tables, and the functions in them, as
    PostgreSQL prints them; and the values in ops.settings of the keys that these views name. So a
    comment changes nothing, and a macro changes every query that it is part of. The cluster counts
    too: a snapshot means nothing in another one.
#}
{% macro change_cursor(reads) -%}
    {%- set fingerprint = run_query("
        with recursive used as not materialized (
            select
                w.ev_class as oid,
                d.refclassid,
                d.refobjid
            from pg_rewrite as w
            inner join pg_depend as d on w.oid = d.objid and d.classid = 'pg_rewrite'::regclass
        ),
        views as (
            select 'pg_temp.quotemill_probe'::regclass::oid as oid
            union
            select c.oid
            from views as v
            inner join used as u on v.oid = u.oid and u.refclassid = 'pg_class'::regclass
            inner join pg_class as c on u.refobjid = c.oid and c.relkind in ('v', 'm')
        ),
        texts as materialized (
            select
                oid::regclass::text as name,
                pg_get_viewdef(oid) as query
            from views
        ),
        functions as (
            select distinct f.oid, f.prosrc
            from views as v
            inner join used as u on v.oid = u.oid and u.refclassid = 'pg_proc'::regclass
            inner join pg_proc as o on u.refobjid = o.oid
            -- one of ours may call another
            inner join pg_proc as f
                on
                    o.oid = f.oid
                    or (
                        o.pronamespace = to_regnamespace('" ~ inner_schema() ~ "')
                        and o.pronamespace = f.pronamespace
                    )
        )
        select md5(concat_ws(
            ' ',
            '" ~ (reads | string | replace("'", "")) ~ "',
            (select system_identifier from pg_control_system()),
            (select string_agg(query, ' ' order by name) from texts),
            (
                select string_agg(concat(s.key, '=', s.value), ' ' order by s.key)
                from ops.settings as s
                where exists (select 1 from texts where strpos(query, quote_literal(s.key)) > 0)
            ),
            (
                select string_agg(
                    concat_ws(' ', oid::regprocedure, prosrc), ' ' order by oid::regprocedure::text
                ) from functions
            )
        ))
    ").rows[0][0] -%}
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
