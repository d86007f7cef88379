{#
    The oldest trading day in a landed table of minutes or ticks, whose key and chunks have `time`
    after the code: bar_end or trade_date. None where it has no row. A bar of a trading day ends on
    the same day in UTC.
#}
{% macro oldest_day(table, time='bar_end') -%}
    {{ return(by_edition('oldest_day')(table, time)) }}
{%- endmacro %}

{# By steps from code to code through the key: `min` would read every row. #}
{% macro default__oldest_day(table, time) -%}
    {{ return(run_query("
        with recursive first_bars as (
            (select code, trade_date from " ~ table ~ " order by code, " ~ time ~ " limit 1)
            union all
            select k.code, k.trade_date
            from first_bars as f
            cross join lateral (
                select code, trade_date from " ~ table ~ "
                where code > f.code order by code, " ~ time ~ " limit 1
            ) as k
        )

        select min(trade_date) from first_bars
    ").rows[0][0]) }}
{%- endmacro %}

{#
    A hypertable's oldest chunk is searched day by day: a compressed chunk need not be opened for a
    day that it lacks. Chunks of hours hold a part of a day.
#}
{% macro timescale__oldest_day(table, time) -%}
    {{ return(
        outermost_day(table, time) if is_hypertable(table) else default__oldest_day(table, time)
    ) }}
{%- endmacro %}

{# The oldest trading day of a hypertable, or, in the order `desc`, the newest; none if empty. #}
{% macro outermost_day(table, time, order='asc') -%}
    {%- set name = table.split('.') -%}
    {%- for chunk in run_query("
        select
            range_start at time zone 'UTC' as first_at,
            range_end at time zone 'UTC' as end_at
        from timescaledb_information.chunks
        where hypertable_schema = '" ~ name[0] ~ "' and hypertable_name = '" ~ name[1] ~ "'
        order by range_start " ~ order ~ "
    ") -%}
        {%- set days = run_query("
            select day::date
            from generate_series(
                date_trunc('day', '" ~ chunk['first_at'] ~ "'::timestamp),
                '" ~ chunk['end_at'] ~ "'::timestamp - interval '1 microsecond',
                interval '1 day'
            ) as day
            where exists (
                select 1 from " ~ table ~ "
                where
                    trade_date = day::date
                    " ~ ("and bar_end >= day at time zone 'UTC'
                    and bar_end < (day + interval '1 day') at time zone 'UTC'"
                    if time == 'bar_end' else "") ~ "
                    and " ~ time ~ " >= '" ~ chunk['first_at'] ~ "+00'
                    and " ~ time ~ " < '" ~ chunk['end_at'] ~ "+00'
            )
            order by day " ~ order ~ " limit 1
        ").rows -%}
        {%- if days -%}{{ return(days[0][0]) }}{%- endif -%}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}
