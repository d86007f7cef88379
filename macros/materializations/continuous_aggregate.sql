{#
    A continuous aggregate of TimescaleDB where the server has them (see is_continuous), over the
    hypertable meta.continuous.of, which its query reads directly; elsewhere as `followed`.

    It answers in real time: days that are not materialized yet are computed on reading. A build
    refreshes the days that the change feed names, but for the running one, forwards them to the
    feed, and moves the cursor: a refresh is not part of a transaction, so one that was killed is
    repeated. No refresh goes below the oldest day of the hypertable: bars whose minutes were
    dropped by age would be deleted.
#}
{% materialization continuous_aggregate, adapter='postgres' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is not none and existing.is_view -%}
        {#- To drop one, TimescaleDB locks its jobs, then the minutes. A second thread that has read
        minutes (see is_continuous) and drops another would deadlock with it. -#}
        {%- do run_query("commit") -%}
        {%- do run_query("begin") -%}
        {%- do run_query(lock_name('continuous_aggregate')) -%}
    {%- endif -%}
    {%- if not is_continuous() -%}
        {{ return(materialization_followed_postgres()) }}
    {%- endif -%}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set of = config.get('meta')['continuous']['of'] -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if config.get('contract').enforced -%}
        {%- do get_assert_columns_equivalent(sql) -%}
    {%- endif -%}
    {%- do run_query("create temporary view quotemill_probe as " ~ sql) -%}
    {%- set oldest = oldest_day(of) -%}
    {%- set cursor = change_cursor(of) -%}
    {%- set is_other = true -%}
    {%- if existing is not none -%}
        {%- set is_other = not run_query("
            select 1 from timescaledb_information.continuous_aggregates
            where
                view_schema = '" ~ existing.schema ~ "'
                and view_name = '" ~ existing.identifier ~ "'
                and rtrim(view_definition, ';')
                    = rtrim(pg_get_viewdef('pg_temp.quotemill_probe'::regclass), ';')
        ").rows -%}
    {%- endif -%}
    {%- do run_query("drop view quotemill_probe") -%}
    {%- if is_other -%}
        {%- do create_continuous_aggregate(target_relation, existing, sql) -%}
    {%- endif -%}
    {%- do apply_continuous_settings(target_relation) -%}
    {%- set seen = none if is_other or should_full_refresh() else cursor['seen'] -%}
    {%- set first_day = first_day_retained(retention(of)) -%}
    {%- set partial_days = partly_dropped_days(
        target_relation, of, seen, cursor['now'], oldest, first_day
    ) -%}
    {%- set running = running_day(target_relation, of) -%}
    {%- set spans = spans_to_refresh(
        of, seen, cursor['now'], oldest, but=partial_days, left=left_day(), running=running
    ) -%}
    {%- call statement('main') -%} select 1 where false {%- endcall -%}
    {%- do grant_and_describe(target_relation) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}

    {#- dbt and its driver believe that this is still one transaction -#}
    {%- do run_query("commit") -%}
    {%- do refresh_continuous_aggregate(target_relation, of, spans) -%}
    {%- do run_query("begin") -%}
    {%- do rebuild_codes(target_relation, of, seen, cursor['now'], partial_days, first_day) -%}
    {%- set name = this.schema ~ '.' ~ this.identifier -%}
    {%- do run_query(
        "insert into ops.changes (table_name, key, dates)
        select '" ~ name ~ "', c.key, range_agg(c.dates)
        from ops.changes as c
        where " ~ change_condition(of, seen, cursor['now']) ~ " group by c.key"
        if seen else "insert into ops.changes (table_name) values ('" ~ name ~ "')"
    ) -%}
    {%- do move_cursor(cursor) -%}
    {#- the cursor passes the changes of the running day: the next build takes it -#}
    {%- do run_query(
        "update ops.change_cursors set left_day = " ~ ("'" ~ running ~ "'" if running else "null")
        ~ " where reader = '" ~ name ~ "'"
    ) -%}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{# Create it in the place of `existing`; rows whose minutes are gone are carried over. #}
{% macro create_continuous_aggregate(target_relation, existing, sql) -%}
    {#- a column that it lacks is null in what is carried -#}
    {%- set known = model.columns.keys() | select(
        'in', adapter.get_columns_in_relation(existing) | map(attribute='name') | list
    ) | list if existing is not none else [] -%}
    {%- set names = known | join(', ') -%}
    {%- set carried = not key_columns() | reject('in', known) | list -%}
    {%- if carried -%}
        {%- do run_query(
            "create temporary table carried on commit drop as
            select " ~ names ~ " from " ~ existing ~ " as stored where " ~ preserved_rows(existing)
        ) -%}
    {%- endif -%}
    {%- if existing is not none -%}
        {%- set why = 'other query' if existing.is_view else 'it is a table' -%}
        {%- do drop_unfit_relation(existing, why, carried) -%}
    {%- endif -%}
    {%- do run_query(
        "create materialized view " ~ target_relation ~ "
        with (timescaledb.continuous, timescaledb.materialized_only = false)
        as " ~ sql ~ " with no data"
    ) -%}
    {#- before the first row: only from 2.19 on an option of the statement above -#}
    {%- do run_query(
        "select set_chunk_time_interval(
            '" ~ materialized_hypertable(target_relation) ~ "',
            interval '" ~ config.get('meta')['continuous']['chunk'] ~ "'
        )"
    ) -%}
    {#- the previous one's cursor: if the refresh is killed, the next build takes everything -#}
    {%- do run_query(
        "delete from ops.change_cursors
        where reader = '" ~ target_relation.schema ~ "." ~ target_relation.identifier ~ "'"
    ) -%}
    {%- do create_indexes(target_relation) -%}
    {%- do run_query(
        "create index on " ~ target_relation ~ " (" ~ key_columns() | join(', ') ~ ")"
    ) -%}
    {%- if carried -%}
        {%- do run_query(
            "insert into " ~ materialized_hypertable(target_relation) ~ "
            (" ~ names ~ ", time_partition_col)
            select " ~ names ~ ", time_bucket('1 day', bar_end) from carried"
        ) -%}
        {%- do run_query("drop table carried") -%}
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
