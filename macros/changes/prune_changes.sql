{#
    At the end of a run: the feed keeps 30 days, and what a cursor has yet to pass. Older rows of a
    table become one row that says that all of it changed, for any reader from before then. A cursor
    that was idle for 90 days is deleted; a reader without one takes everything.
#}
{% macro prune_changes() -%}
    {%- if execute and flags.WHICH in ('build', 'run') -%}
    delete from ops.change_cursors
    where
        moved_at < now() - interval '90 days'
        or split_part(reader, '.', 2) in ('{{ removed_models() | join("', '") }}');

    with old as (
        delete from ops.changes
        where
            changed_at < now() - interval '30 days'
            and xid < (
                select min(pg_snapshot_xmin(seen))
                from (
                    select seen from ops.change_cursors
                    union all
                    select pg_current_snapshot() as seen
                ) as cursors
            )
            and exists (
                select 1 from ops.changes as c
                where
                    c.changed_at < now() - interval '30 days'
                    and (c.key <> '' or c.dates <> '{(,)}')
            )
        returning xid, table_name, changed_at
    )

    insert into ops.changes (xid, table_name, changed_at)
    select
        max(xid) as xid,
        table_name,
        max(changed_at) as changed_at
    from old
    group by table_name
    {%- endif -%}
{%- endmacro %}
