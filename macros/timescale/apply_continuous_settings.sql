{#
    Apply meta.continuous, the storage and upkeep of a continuous aggregate. Adding a policy that
    exists with other arguments would only warn, so both are removed and added; the comment of the
    hypertable that holds the rows stores what was applied last. The policies run half a period
    after this build. The refresh policy skips the day that runs, and days whose minutes may have
    been dropped by age, by our `retain` or a policy of the server: their bars would be deleted. The
    span of chunks is set once, when the aggregate is made: a later one is somebody else's.
#}
{% macro apply_continuous_settings(relation) -%}
    {%- set wanted = config.get('meta')['continuous'] -%}
    {%- set rows_table = materialized_hypertable(relation) -%}
    {%- set retain = shortest_retention(wanted['of']) -%}
    {%- set settings = wanted | string ~ (', retain: ' ~ retain if retain else '') -%}
    {%- set settings = settings | replace("'", "") -%}
    {%- if run_query(
        "select 1
        where obj_description('" ~ rows_table ~ "'::regclass, 'pg_class') = '" ~ settings ~ "'"
    ).rows -%}
        {{ return(none) }}
    {%- endif -%}
    {#- alone: anything else in the statement would be ignored silently -#}
    {%- do run_query(
        "alter materialized view " ~ relation ~ " set (timescaledb.materialized_only = false)"
    ) -%}
    {%- do run_query(
        "alter materialized view " ~ relation ~ " set (
            timescaledb.enable_columnstore = true,
            timescaledb.segmentby = '" ~ wanted['segment_by'] ~ "',
            timescaledb.orderby = '" ~ wanted['order_by'] ~ "'
        )"
    ) -%}
    {%- do run_query("call remove_columnstore_policy('" ~ relation ~ "', if_exists => true)") -%}
    {%- do run_query(
        "select remove_continuous_aggregate_policy('" ~ relation ~ "', if_exists => true)"
    ) -%}
    {%- do run_query(
        "select add_continuous_aggregate_policy(
            '" ~ relation ~ "',
            start_offset => least(
                interval '" ~ wanted['refresh_from'] ~ "',
                interval '" ~ (retain or wanted['refresh_from']) ~ "'
            ),
            end_offset => interval '" ~ wanted['refresh_to'] ~ "',
            schedule_interval => interval '" ~ wanted['refresh_every'] ~ "',
            initial_start => now() + interval '" ~ wanted['refresh_every'] ~ "' / 2
        )"
    ) -%}
    {#- older servers want the other policy first -#}
    {%- do run_query(
        "call add_columnstore_policy(
            '" ~ relation ~ "',
            after => interval '" ~ wanted['compress_after'] ~ "',
            initial_start => now() + interval '" ~ wanted['refresh_every'] ~ "' / 2
        )"
    ) -%}
    {%- do run_query("comment on table " ~ rows_table ~ " is '" ~ settings ~ "'") -%}
{%- endmacro %}

{#
    The age at which minutes are dropped, by `retain` or by a policy of the server; none without.
    The server refreshes at least two buckets, so a shorter one than two days is refused.
#}
{% macro shortest_retention(table) -%}
    {%- set retain = retention(table) -%}
    {%- set age, is_short = run_query("
        select
            age::text,
            age < interval '2 days'
        from (
            select least(
                " ~ ("interval '" ~ retain ~ "'" if retain else "null") ~ ",
                (
                    select min((config ->> 'drop_after')::interval)
                    from timescaledb_information.jobs
                    where
                        proc_name = 'policy_retention'
                        and hypertable_schema || '.' || hypertable_name = '" ~ table ~ "'
                )
            ) as age
        ) as shortest
    ").rows[0] -%}
    {%- if is_short -%}
        {{ exceptions.raise_compiler_error(
            table ~ " is dropped after " ~ age ~ ", before its bars are final: they need 2 days."
            ~ " fix: set a longer `retain`, or run select remove_retention_policy('" ~ table ~ "')"
        ) }}
    {%- endif -%}
    {{ return(age) }}
{%- endmacro %}
