{#
    A continuous aggregate of TimescaleDB where the server has them (see is_continuous), of the hypertable
    meta.continuous.of, which its query reads directly; elsewhere what `incremental` makes of the model.

    It answers in real time: days that are not materialized yet are worked out on reading. A build
    refreshes the days that the change feed names, tells the feed of them, and moves the cursor: a
    refresh is no part of a transaction, so one that was killed is done again. No refresh goes below
    the oldest day of the hypertable: what was made of minutes that were dropped by age would go.
#}
{% materialization continuous_aggregate, adapter='postgres' -%}
    {%- if not is_continuous() -%}
        {{ return(materialization_incremental_postgres()) }}
    {%- endif -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set of = config.get('meta')['continuous']['of'] -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if config.get('contract').enforced -%}{%- do get_assert_columns_equivalent(sql) -%}{%- endif -%}
    {%- do run_query("create temporary view quotemill_probe as " ~ sql) -%}
    {%- set oldest = oldest_day(of) -%}
    {%- set cursor = change_cursor(of) -%}
    {%- set is_other = existing is none or not is_continuous_query(existing) -%}
    {%- do run_query("drop view quotemill_probe") -%}
    {%- if is_other -%}
        {%- do create_continuous_aggregate(target_relation, existing, sql) -%}
    {%- endif -%}
    {%- do apply_continuous_settings(target_relation) -%}
    {%- set seen = none if is_other or should_full_refresh() else cursor['seen'] -%}
    {%- set spans = spans_to_refresh(of, seen, cursor['now'], oldest) -%}
    {%- call statement('main') -%} select 1 where false {%- endcall -%}
    {%- do persist_docs(target_relation, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}

    {#- dbt and its driver believe to be in one transaction all along -#}
    {%- do run_query("commit") -%}
    {%- do refresh_continuous_aggregate(target_relation, spans) -%}
    {%- do run_query("begin") -%}
    {%- do pass_changes_on(of, seen, cursor['now']) -%}
    {%- do move_cursor(cursor) -%}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{# Whether what stands there is a continuous aggregate of the query in pg_temp.quotemill_probe. #}
{% macro is_continuous_query(existing) -%}
    {{ return(run_query("
        select 1 from timescaledb_information.continuous_aggregates
        where
            view_schema = '" ~ existing.schema ~ "'
            and view_name = '" ~ existing.identifier ~ "'
            and rtrim(view_definition, ';') = rtrim(pg_get_viewdef('pg_temp.quotemill_probe'::regclass), ';')
    ").rows | length > 0) }}
{%- endmacro %}

{# In the place of what stands there; rows of which no minutes are left go along. #}
{% macro create_continuous_aggregate(target_relation, existing, sql) -%}
    {%- set names = model.columns | join(', ') -%}
    {%- set carried = existing is not none and not model.columns.keys() | reject(
        'in', adapter.get_columns_in_relation(existing) | map(attribute='name') | list
    ) | list -%}
    {%- if carried -%}
        {%- do run_query(
            "create temporary table kept on commit drop as
            select " ~ names ~ " from " ~ existing ~ " as stored where " ~ rows_kept()
        ) -%}
    {%- endif -%}
    {%- if existing is not none -%}
        {%- do make_way(existing, 'other query' if existing.is_view else 'it is a table', carried) -%}
    {%- endif -%}
    {%- do run_query(
        "create materialized view " ~ target_relation ~ "
        with (
            timescaledb.continuous,
            timescaledb.materialized_only = false,
            timescaledb.chunk_interval = '" ~ config.get('meta')['continuous']['chunk'] ~ "'
        ) as " ~ sql ~ " with no data"
    ) -%}
    {%- do create_indexes(target_relation) -%}
    {%- do run_query(
        "create index on " ~ target_relation ~ " (" ~ config.get('unique_key') | join(', ') ~ ")"
    ) -%}
    {%- if carried -%}
        {%- do run_query(
            "insert into " ~ materialized_hypertable(target_relation) ~ " (" ~ names ~ ", time_partition_col)
            select " ~ names ~ ", time_bucket('1 day', bar_end) from kept"
        ) -%}
        {%- do run_query("drop table kept") -%}
    {%- endif -%}
{%- endmacro %}

{# The hypertable that holds the rows of a continuous aggregate. #}
{% macro materialized_hypertable(relation) -%}
    {{ return(run_query("
        select format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
        from timescaledb_information.continuous_aggregates
        where view_schema = '" ~ relation.schema ~ "' and view_name = '" ~ relation.identifier ~ "'
    ").rows[0][0]) }}
{%- endmacro %}

{#
    The spans of days that changed between two snapshots, from the oldest day on, as literals: midnights
    in UTC, the last one null where it is open. Everything where nothing was seen, nothing where no minute
    is there.
#}
{% macro spans_to_refresh(of, seen, now, oldest) -%}
    {%- if not oldest -%}{{ return([]) }}{%- endif -%}
    {{ return(run_query("
        select
            quote_literal(lower(days)::timestamp at time zone 'UTC') as first_instant,
            quote_nullable(upper(days)::timestamp at time zone 'UTC') as end_instant
        from unnest((
            select range_agg(c.dates) * datemultirange(daterange('" ~ oldest ~ "', null))
            from " ~ (
                "ops.changes as c where " ~ happened_between(of, seen, now)
                if seen else "(values ('{(,)}'::datemultirange)) as c (dates)"
            ) ~ "
        )) as days
    ").rows) }}
{%- endmacro %}

{#
    Each span by itself: between an old day and today there may be years. A day of all codes is more
    compressed rows than a transaction opens by default, and older servers hold a refresh to that. The
    server refuses a refresh beside another one, so builds wait for each other, and for the policy's.
#}
{% macro refresh_continuous_aggregate(relation, spans) -%}
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
        {%- do run_query(
            "call refresh_continuous_aggregate('" ~ relation ~ "', " ~ span['first_instant'] ~ ", "
            ~ span['end_instant'] ~ (", force => true" if should_full_refresh() else "") ~ ")"
        ) -%}
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
