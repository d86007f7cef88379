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
    Days that changed, or all where nothing was seen, and have bars of a code without a minute that went by
    age, while others of the day are there or were loaded again: older than `first_day`, from which on
    minutes are retained, or of which the feed does not say that they went. A refresh would delete those
    bars.
#}
{% macro half_gone_days(relation, of, seen, now, oldest, first_day) -%}
    {%- set found, went = [], [] -%}
    {%- if first_day -%}{%- do went.append("bars.bucket < '" ~ first_day ~ " 00:00+00'") -%}{%- endif -%}
    {%- if seen -%}
        {%- do went.append("not exists (
            select 1 from ops.changes as c
            where
                " ~ happened_between(of, seen, now) ~ "
                and c.key in ('', bars.code)
                and c.dates @> (bars.bucket at time zone 'UTC')::date
        )") -%}
    {%- endif -%}
    {%- for span in spans_to_refresh(of, seen, now, oldest) if went -%}
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
                and (" ~ went | join(' or ') ~ ")
        ").columns[0].values()) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#
    What a refresh makes of such a day, of the codes alone that changed on it and have not gone by age. By
    literals: others would open each compressed row of the day, and read each chunk of minutes.
#}
{% macro remake_codes(relation, of, seen, now, days, first_day) -%}
    {%- set held = materialized_hypertable(relation) -%}
    {%- set names = model.columns | join(', ') ~ ', time_partition_col' -%}
    {%- for day in days -%}
        {%- if loop.first -%}
            {%- do run_query("set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0") -%}
        {%- endif -%}
        {%- set next_day = modules.datetime.date.fromisoformat(day) + modules.datetime.timedelta(days=1) -%}
        {%- set of_day = " >= '" ~ day ~ " 00:00+00' and {} < '" ~ next_day ~ " 00:00+00'" -%}
        {%- set changed = "select c.key as code from ops.changes as c
            where " ~ happened_between(of, seen, now) ~ " and c.dates @> '" ~ day ~ "'::date" -%}
        {%- set there = "select distinct code from " ~ of ~ " where bar_end" ~ of_day.format('bar_end') -%}
        {%- set codes = run_query(
            "select distinct code from (" ~ changed ~ ") as c" if not first_day or day >= first_day
            else there if not seen
            else there ~ " and (code in (" ~ changed ~ ") or '' in (" ~ changed ~ "))"
        ).columns[0].values() -%}
        {%- if codes -%}
            {%- set of_codes = "time_partition_col" ~ of_day.format('time_partition_col')
                ~ " and code in ('" ~ codes | join("', '") ~ "')" -%}
            {%- do run_query("delete from " ~ held ~ " where " ~ of_codes) -%}
            {%- do run_query(
                "insert into " ~ held ~ " (" ~ names ~ ")
                select " ~ names ~ " from " ~ query_of_buckets(relation) ~ " where " ~ of_codes
            ) -%}
        {%- endif -%}
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
                    -- older servers tell of the hypertable behind it
                    and j.hypertable_schema || '.' || j.hypertable_name in (
                        '" ~ relation.schema ~ "." ~ relation.identifier ~ "',
                        '" ~ materialized_hypertable(relation) ~ "'
                    )
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
