{#
    The spans of days that changed between two snapshots, from the oldest day on and without those of
    `but`, as literals: midnights in UTC, the last one null where it is open. Everything where nothing was
    seen, nothing where no minute is there.
#}
{% macro spans_to_refresh(of, seen, now, oldest, but=[]) -%}
    {%- if not oldest -%}{{ return([]) }}{%- endif -%}
    {{ return(run_query("
        select
            quote_literal(lower(days)::timestamp at time zone 'UTC') as first_instant,
            quote_nullable(upper(days)::timestamp at time zone 'UTC') as end_instant
        from unnest((
            select
                range_agg(c.dates) * datemultirange(daterange('" ~ oldest ~ "', null))
                - coalesce((
                    select range_agg(daterange(day, day, '[]'))
                    from unnest('{" ~ but | join(',') ~ "}'::date[]) as day
                ), '{}')
            from " ~ (
                "ops.changes as c where " ~ happened_between(of, seen, now)
                if seen else "(values ('{(,)}'::datemultirange)) as c (dates)"
            ) ~ "
        )) as days
    ").rows) }}
{%- endmacro %}

{#
    Days that changed and have bars of a code without a minute, of which the feed does not say that they
    went: they were dropped by age, and others of the day loaded again. A refresh would delete those bars.
#}
{% macro half_gone_days(relation, of, seen, now, oldest) -%}
    {%- set found = [] -%}
    {%- for span in spans_to_refresh(of, seen, now, oldest) if seen -%}
        {%- set until = "< " ~ span['end_instant'] if span['end_instant'] != 'NULL' else "is not null" -%}
        {%- do found.extend(run_query("
            select distinct (bucket at time zone 'UTC')::date::text
            from (
                select distinct code, time_partition_col as bucket
                from " ~ materialized_hypertable(relation) ~ "
                where
                    time_partition_col >= " ~ span['first_instant'] ~ "
                    and time_partition_col " ~ until ~ "
            ) as bars
            where
                not exists (
                    select 1 from " ~ of ~ " as m
                    where
                        m.code = bars.code
                        and m.bar_end >= bars.bucket
                        and m.bar_end < bars.bucket + interval '24 hours'
                        and m.bar_end >= " ~ span['first_instant'] ~ "
                        and m.bar_end " ~ until ~ "
                )
                and not exists (
                    select 1 from ops.changes as c
                    where
                        " ~ happened_between(of, seen, now) ~ "
                        and c.key in ('', bars.code)
                        and c.dates @> (bars.bucket at time zone 'UTC')::date
                )
        ").columns[0].values()) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{# What a refresh makes of a day, of the codes alone that changed on it. #}
{% macro remake_codes(relation, of, seen, now, days) -%}
    {%- set names = model.columns | join(', ') ~ ', time_partition_col' -%}
    {%- for day in days -%}
        {%- set of_day -%}
            where
                time_partition_col = '{{ day }} 00:00+00'
                and code in (
                    select c.key from ops.changes as c
                    where {{ happened_between(of, seen, now) }} and c.dates @> '{{ day }}'::date
                )
        {%- endset -%}
        {%- do run_query("delete from " ~ materialized_hypertable(relation) ~ " " ~ of_day) -%}
        {%- do run_query(
            "insert into " ~ materialized_hypertable(relation) ~ " (" ~ names ~ ")
            select " ~ names ~ " from " ~ query_of_buckets(relation) ~ " " ~ of_day
        ) -%}
    {%- endfor -%}
{%- endmacro %}

{# The server's view of what a refresh makes, with the bucket. #}
{% macro query_of_buckets(relation) -%}
    {{ return(run_query("
        select format('%I.%I', partial_view_schema, partial_view_name)
        from _timescaledb_catalog.continuous_agg
        where
            user_view_schema = '" ~ relation.schema ~ "'
            and user_view_name = '" ~ relation.identifier ~ "'
    ").rows[0][0]) }}
{%- endmacro %}

{#
    Each span by itself: between an old day and today there may be years. A day of all codes is more
    compressed rows than a transaction opens by default, and older servers hold a refresh to that. The
    server refuses a refresh beside another one, so builds wait for each other, and for the policy's. What
    was dropped by age meanwhile is left out: the floor is asked again before each span.
#}
{% macro refresh_continuous_aggregate(relation, of, spans) -%}
    {%- if not spans -%}{{ return(none) }}{%- endif -%}
    {%- set lock = "hashtextextended('quotemill:refresh " ~ relation.schema ~ "." ~ relation.identifier ~ "', 0)" -%}
    {%- do run_query("select pg_advisory_lock(" ~ lock ~ ")") -%}
    {%- do run_query("
        do $wait$
        begin
            while exists (
                select 1
                from timescaledb_information.jobs as j
                inner join pg_stat_activity as a on a.application_name = j.application_name
                where
                    j.proc_name = 'policy_refresh_continuous_aggregate'
                    and (j.hypertable_schema, j.hypertable_name)
                        = ('" ~ relation.schema ~ "', '" ~ relation.identifier ~ "')
                    and a.datname = current_database()
            ) loop
                perform pg_sleep(0.1);
                perform pg_stat_clear_snapshot();
            end loop;
        end
        $wait$
    ") -%}
    {%- do run_query("set timescaledb.max_tuples_decompressed_per_dml_transaction = 0") -%}
    {%- for span in spans -%}
        {%- for left in run_query("
            select quote_literal(greatest(floor.instant, " ~ span['first_instant'] ~ "::timestamptz)) as first_instant
            from (values ('" ~ (oldest_day(of) or 'infinity') ~ "'::timestamp at time zone 'UTC')) as floor (instant)
            where floor.instant < coalesce(" ~ span['end_instant'] ~ ", 'infinity')::timestamptz
        ") -%}
            {%- do run_query(
                "call refresh_continuous_aggregate('" ~ relation ~ "', " ~ left['first_instant'] ~ ", "
                ~ span['end_instant'] ~ (", force => true" if should_full_refresh() else "") ~ ")"
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- do run_query("reset timescaledb.max_tuples_decompressed_per_dml_transaction") -%}
    {%- do run_query("select pg_advisory_unlock(" ~ lock ~ ")") -%}
{%- endmacro %}

{# What changed in the hypertable changed here, for the readers of this model. #}
{% macro pass_changes_on(of, seen, now) -%}
    {%- set name = this.schema ~ '.' ~ this.identifier -%}
    {%- do run_query(
        "insert into ops.changes (table_name, key, dates)
        select '" ~ name ~ "', c.key, range_agg(c.dates)
        from ops.changes as c where " ~ happened_between(of, seen, now) ~ " group by c.key"
        if seen else "insert into ops.changes (table_name) values ('" ~ name ~ "')"
    ) -%}
{%- endmacro %}
