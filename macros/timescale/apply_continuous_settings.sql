{#
    Give a continuous aggregate what meta.continuous says of its storage and upkeep. A policy that stands
    with other arguments would only warn, so both are removed and added; what was applied last is in the
    comment of the hypertable that holds the rows. They run half a period off the time of this build. The
    policy refreshes no day whose minutes may have gone by age: their bars would go too.
#}
{% macro apply_continuous_settings(relation) -%}
    {%- set wanted = config.get('meta')['continuous'] -%}
    {%- set held = materialized_hypertable(relation) -%}
    {%- set retain = retention_of(wanted['of']) -%}
    {%- set told = (wanted | string ~ (', retain: ' ~ retain if retain else '')) | replace("'", "") -%}
    {%- if run_query(
        "select 1 where obj_description('" ~ held ~ "'::regclass, 'pg_class') = '" ~ told ~ "'"
    ).rows -%}
        {{ return(none) }}
    {%- endif -%}
    {#- not in one statement: what else is in it would be left out without a word -#}
    {%- do run_query(
        "alter materialized view " ~ relation ~ " set (timescaledb.materialized_only = false)"
    ) -%}
    {%- do run_query(
        "alter materialized view " ~ relation ~ " set (
            timescaledb.compress = true,
            timescaledb.compress_segmentby = '" ~ wanted['segment_by'] ~ "',
            timescaledb.compress_orderby = '" ~ wanted['order_by'] ~ "'
        )"
    ) -%}
    {%- do run_query(
        "select
            set_chunk_time_interval('" ~ held ~ "', interval '" ~ wanted['chunk'] ~ "'),
            remove_continuous_aggregate_policy('" ~ relation ~ "', if_exists => true),
            remove_compression_policy('" ~ relation ~ "', if_exists => true)"
    ) -%}
    {%- do run_query(
        "select
            add_continuous_aggregate_policy(
                '" ~ relation ~ "',
                start_offset => least(
                    interval '" ~ wanted['refresh_from'] ~ "', interval '" ~ (retain or wanted['refresh_from']) ~ "'
                ),
                end_offset => null,
                schedule_interval => interval '" ~ wanted['refresh_every'] ~ "',
                initial_start => now() + interval '" ~ wanted['refresh_every'] ~ "' / 2
            ),
            add_compression_policy(
                '" ~ relation ~ "',
                compress_after => interval '" ~ wanted['compress_after'] ~ "',
                initial_start => now() + interval '" ~ wanted['refresh_every'] ~ "' / 2
            )"
    ) -%}
    {%- do run_query("comment on table " ~ held ~ " is '" ~ told ~ "'") -%}
{%- endmacro %}
