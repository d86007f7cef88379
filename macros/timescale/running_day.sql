{#
    The newest day of the minutes `of` while it runs, or none: no row of it is final yet, here or
    among meta.continuous.day_bars. Materialized to its end it would hide the minutes that land
    later, so the aggregate computes it on reading. A day that has materialized bars already is
    refreshed.
#}
{% macro running_day(relation, of) -%}
    {%- set day_bars = config.get('meta')['continuous']['day_bars'] -%}
    {%- set day = outermost_day(of, 'bar_end', 'desc') -%}
    {%- if day is none -%}{{ return(none) }}{%- endif -%}
    {%- set first_at = "'" ~ day ~ " 00:00+00'" -%}
    {{ return(run_query("
        select '" ~ day ~ "'::date
        where
            not exists (
                select 1 from " ~ of ~ "
                where
                    trade_date = '" ~ day ~ "'
                    and bar_end >= " ~ first_at ~ "
                    and bar_end < " ~ first_at ~ "::timestamptz + interval '24 hours'
                    and is_final
            )
            and not exists (
                select 1 from " ~ day_bars ~ "
                where trade_date = '" ~ day ~ "' and is_final
            )
            and not exists (
                select 1 from " ~ materialized_hypertable(relation) ~ "
                where time_partition_col >= " ~ first_at ~ "
            )
    ").columns[0].values() | first) }}
{%- endmacro %}

{# The running day that the last build left to readers; none where it left none. #}
{% macro left_day() -%}
    {{ return(run_query("
        select left_day from ops.change_cursors
        where reader = '" ~ this.schema ~ "." ~ this.identifier ~ "' and left_day is not null
    ").columns[0].values() | first) }}
{%- endmacro %}
