{#
    Refuse to write during another build.

    During a build `quotemill` holds a lock (loaders/warehouse/turns.py) on a connection of its own
    and gives the process id of its backend to dbt in the environment variable
    QUOTEMILL_BUILD_LOCK_HELD. So its own dbt passes, and a variable left over in a shell opens
    nothing. Plain dbt cannot hold a lock from start to end (it closes the connection of its hooks),
    so it only checks.
#}
{% macro refuse_while_building() -%}
    {%- if execute and flags.WHICH in ('build', 'run', 'seed', 'snapshot', 'clone', 'retry') -%}
        {%- set holders = run_query("
            select l.pid, a.application_name, a.backend_start
            from pg_locks as l
            inner join pg_stat_activity as a on l.pid = a.pid
            where l.locktype = 'advisory'
                and l.granted
                and l.objsubid = 1
                and l.database = (select oid from pg_database where datname = current_database())
                and ((l.classid::bigint << 32) | l.objid::bigint)
                    = hashtextextended('quotemill:build', coalesce(
                        (select k.seed from ops.locks as k where k.name = 'quotemill:build'), 0
                    ))
                and has_table_privilege(a.usesysid, 'ops.locks', 'update')
        ") -%}
        {%- set own = env_var('QUOTEMILL_BUILD_LOCK_HELD', '') -%}
        {%- for holder in holders if holder['pid'] | string != own -%}
            {{ exceptions.raise_compiler_error(
                "Another build is writing to this warehouse (backend " ~ holder['pid'] ~ ", "
                ~ (holder['application_name'] or 'unnamed') ~ "). Wait for it to end"
                ~ " (quotemill status shows it)."
            ) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
