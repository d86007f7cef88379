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
    {%- set first_day = first_day_retained(retention_of(of)) -%}
    {%- set kept_days = half_gone_days(target_relation, of, seen, cursor['now'], oldest, first_day) -%}
    {%- set spans = spans_to_refresh(of, seen, cursor['now'], oldest, kept_days) -%}
    {%- call statement('main') -%} select 1 where false {%- endcall -%}
    {%- do persist_docs(target_relation, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}

    {#- dbt and its driver believe to be in one transaction all along -#}
    {%- do run_query("commit") -%}
    {%- do refresh_continuous_aggregate(target_relation, of, spans) -%}
    {%- do run_query("begin") -%}
    {%- do remake_codes(target_relation, of, seen, cursor['now'], kept_days, first_day) -%}
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
        with (timescaledb.continuous, timescaledb.materialized_only = false)
        as " ~ sql ~ " with no data"
    ) -%}
    {#- before the first row; an option of the statement above from 2.19 on only -#}
    {%- do run_query(
        "select set_chunk_time_interval(
            '" ~ materialized_hypertable(target_relation) ~ "',
            interval '" ~ config.get('meta')['continuous']['chunk'] ~ "'
        )"
    ) -%}
    {#- of the one that stood there before: should the refresh be killed, the next build takes everything -#}
    {%- do run_query(
        "delete from ops.change_cursors
        where reader = '" ~ target_relation.schema ~ "." ~ target_relation.identifier ~ "'"
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
