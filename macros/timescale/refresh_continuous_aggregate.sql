{#
    The spans of days that changed between two snapshots, and the day `left`, from the oldest day on
    and without those of `but`, as literals: midnights in UTC, the last one null where it is open.
    The running day and what is after it stay out. Everything without a `seen`, nothing where the
    table has no minute.
#}
{% macro spans_to_refresh(of, seen, now, oldest, but=[], left=none, running=none) -%}
    {%- if not oldest -%}{{ return([]) }}{%- endif -%}
    {{ return(run_query("
        select
            quote_literal(lower(days)::timestamp at time zone 'UTC') as first_at,
            quote_nullable(upper(days)::timestamp at time zone 'UTC') as end_at
        from unnest((
            select
                range_agg(c.dates) * datemultirange(daterange(
                    '" ~ oldest ~ "', " ~ ("'" ~ running ~ "'" if running else "null") ~ "
                ))
                - coalesce((
                    select range_agg(daterange(day, day, '[]'))
                    from unnest('{" ~ but | join(',') ~ "}'::date[]) as day
                ), '{}')
            from " ~ (
                "(
                    select c.dates from ops.changes as c
                    where " ~ change_condition(of, seen, now) ~ "
                    union all
                    select datemultirange(daterange(day, day, '[]'))
                    from unnest('{" ~ (left or '') ~ "}'::date[]) as day
                ) as c"
                if seen else "(values ('{(,)}'::datemultirange)) as c (dates)"
            ) ~ "
        )) as days
    ").rows) }}
{%- endmacro %}

{#
    Days that changed (without a `seen`: all days) and have bars of a code whose minutes were
    dropped by age, while other minutes of the day exist or were loaded again: days before
    `first_day`, from which on minutes are retained, or days whose deletion the feed does not name.
    A refresh would delete those bars.
#}
{% macro partly_dropped_days(relation, of, seen, now, oldest, first_day) -%}
    {%- set partial, dropped = [], [] -%}
    {%- if first_day -%}
        {%- do dropped.append("bars.bucket < '" ~ first_day ~ " 00:00+00'") -%}
    {%- endif -%}
    {%- if seen -%}
        {%- do dropped.append("not exists (
            select 1 from ops.changes as c
            where
                " ~ change_condition(of, seen, now) ~ "
                and c.key in ('', bars.code)
                and c.dates @> (bars.bucket at time zone 'UTC')::date
        )") -%}
    {%- endif -%}
    {%- for span in spans_to_refresh(of, seen, now, oldest) if dropped -%}
        {%- set until = "< " ~ span['end_at'] if span['end_at'] != 'NULL' else "is not null" -%}
        {%- do partial.extend(run_query("
            select distinct (bucket at time zone 'UTC')::date::text
            from (
                select distinct code, time_partition_col as bucket
                from " ~ materialized_hypertable(relation) ~ "
                where
                    time_partition_col >= " ~ span['first_at'] ~ "
                    and time_partition_col " ~ until ~ "
            ) as bars
            where
                not exists (
                    select 1 from " ~ of ~ " as m
                    where
                        m.code = bars.code
                        and m.bar_end >= bars.bucket
                        and m.bar_end < bars.bucket + interval '24 hours'
                        and m.bar_end >= " ~ span['first_at'] ~ "
                        and m.bar_end " ~ until ~ "
                )
                and (" ~ dropped | join(' or ') ~ ")
        ").columns[0].values()) -%}
    {%- endfor -%}
    {{ return(partial) }}
{%- endmacro %}

{#
    Rebuild such a day as a refresh would, but only of the codes that changed on it and were not
    dropped by age. With literals: other conditions would open each compressed row of the day, and
    read each chunk of minutes.
#}
{% macro rebuild_codes(relation, of, seen, now, days, first_day) -%}
    {%- set rows_table = materialized_hypertable(relation) -%}
    {%- set names = model.columns | join(', ') ~ ', time_partition_col' -%}
    {#- the server's view of the result of a refresh, with the bucket -#}
    {%- set buckets = run_query("
        select format('%I.%I', partial_view_schema, partial_view_name)
        from _timescaledb_catalog.continuous_agg
        where
            user_view_schema = '" ~ relation.schema ~ "'
            and user_view_name = '" ~ relation.identifier ~ "'
    ").rows[0][0] -%}
    {%- for day in days -%}
        {%- if loop.first -%}
            {%- do run_query(
                "set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0"
            ) -%}
        {%- endif -%}
        {%- set next_day = modules.datetime.date.fromisoformat(day)
            + modules.datetime.timedelta(days=1) -%}
        {%- set on_day = " >= '" ~ day ~ " 00:00+00' and {} < '" ~ next_day ~ " 00:00+00'" -%}
        {%- set changed = "select c.key as code from ops.changes as c
            where " ~ change_condition(of, seen, now) ~ " and c.dates @> '" ~ day ~ "'::date" -%}
        {%- set there = "select distinct code from " ~ of ~ "
            where bar_end" ~ on_day.format('bar_end') -%}
        {%- set codes = run_query(
            "select distinct code from (" ~ changed ~ ") as c" if not first_day or day >= first_day
            else there if not seen
            else there ~ " and (code in (" ~ changed ~ ") or '' in (" ~ changed ~ "))"
        ).columns[0].values() -%}
        {%- if codes -%}
            {%- set code_rows = "time_partition_col" ~ on_day.format('time_partition_col')
                ~ " and code in ('" ~ codes | join("', '") ~ "')" -%}
            {%- do run_query("delete from " ~ rows_table ~ " where " ~ code_rows) -%}
            {%- do run_query(
                "insert into " ~ rows_table ~ " (" ~ names ~ ")
                select " ~ names ~ " from " ~ buckets ~ " where " ~ code_rows
            ) -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}

{#
    Refresh each span separately: between an old day and today there may be years. A day of all
    codes is more compressed rows than a transaction opens by default, and older servers hold a
    refresh to that. Days dropped by age meanwhile are left out: the oldest day is read again before
    each span.
#}
{% macro refresh_continuous_aggregate(relation, of, spans) -%}
    {%- if not spans -%}{{ return(none) }}{%- endif -%}
    {%- do run_query(wait_for_refresh(relation, materialized_hypertable(relation))) -%}
    {%- do run_query("set timescaledb.max_tuples_decompressed_per_dml_transaction = 0") -%}
    {%- for span in spans -%}
        {%- for left in run_query("
            select
                quote_literal(
                    greatest(oldest.at, " ~ span['first_at'] ~ "::timestamptz)
                ) as first_at
            from (
                values ('" ~ (oldest_day(of) or 'infinity') ~ "'::timestamp at time zone 'UTC')
            ) as oldest (at)
            where oldest.at < coalesce(" ~ span['end_at'] ~ ", 'infinity')::timestamptz
        ") -%}
            {%- do run_query(
                "call refresh_continuous_aggregate('" ~ relation ~ "', " ~ left['first_at'] ~ ", "
                ~ span['end_at'] ~ (", force => true" if should_full_refresh() else "") ~ ")"
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- do run_query("reset timescaledb.max_tuples_decompressed_per_dml_transaction") -%}
{%- endmacro %}
