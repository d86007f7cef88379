{#
    The statements that bring the hypertables of this project to the settings in meta.hypertable of
    their models and landed tables; none where nothing differs. A plain table stays one. Which
    settings of somebody's own stay is printed, with --quiet too.

    time            the column of time, by which chunks are cut
    chunk           the span of new chunks; another one in the database is somebody's own, and
                    stays unless dbt run-operation apply_hypertables is what runs
    segment_by, order_by, compress_after
                    how chunks are compressed, and at what age; only in the community edition
    setting         the key in ops.settings without whose `true` the table is meant to be plain: no
                    hypertable is made, and one that is there already stays as it is
    retain          the age at which `quotemill retention` drops days, from any table in any
                    edition (orchestration/archive/old_days.py)

    The server would start a new policy at once, during the loads after the build: it starts half a
    day later.
#}
{% macro hypertable_changes() -%}
    {%- if not execute or flags.WHICH not in ('build', 'run', 'run-operation') -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set edition = timescale_edition() -%}
    {%- if edition == 'none' -%}{{ return([]) }}{%- endif -%}
    {%- set wanted = [] -%}
    {%- for node in (graph.sources.values() | list) + (graph.nodes.values() | list) -%}
        {%- set meta = (node.config.get('meta') or {}).get('hypertable') -%}
        {%- if meta and is_wanted_hypertable(meta) -%}
            {%- set name = node.schema ~ '.' ~ (node.get('identifier') or node.get('alias')) -%}
            {%- do wanted.append(dict(meta, relation=name)) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if not wanted -%}{{ return([]) }}{%- endif -%}
    {%- set is_asked = flags.WHICH == 'run-operation' -%}
    {%- set statements = [] -%}
    {%- for statement, own in run_query("
        with hypertables as (
            select
                w.*,
                d.time_interval,
                s.segmentby,
                replace(lower(s.orderby), ',', ', ') as orderby,
                (
                    select (j.config ->> 'compress_after')::interval
                    from timescaledb_information.jobs as j
                    where j.proc_name = 'policy_compression'
                        and (j.hypertable_schema, j.hypertable_name)
                            = (d.hypertable_schema, d.hypertable_name)
                ) as compressed_after,
                (
                    select j.config ->> 'drop_after'
                    from timescaledb_information.jobs as j
                    where j.proc_name = 'policy_retention'
                        and (j.hypertable_schema, j.hypertable_name)
                            = (d.hypertable_schema, d.hypertable_name)
                ) as dropped_after
            from json_to_recordset('" ~ tojson(wanted) ~ "') as w (
                relation text,
                chunk interval,
                segment_by text,
                order_by text,
                compress_after interval
            )
            inner join timescaledb_information.dimensions as d
                on w.relation = d.hypertable_schema || '.' || d.hypertable_name
                and d.dimension_number = 1
            inner join timescaledb_information.hypertable_columnstore_settings as s
                on s.hypertable = format('%I.%I', d.hypertable_schema, d.hypertable_name)::regclass
        )

        select
            steps.statement,
            steps.own
        from hypertables as h
        cross join lateral (
            values
            (1, case when h.time_interval <> h.chunk then format(
                'select set_chunk_time_interval(%L, %L::interval)', h.relation, h.chunk
            ) end, case when h.time_interval <> h.chunk and not " ~ is_asked ~ " then format(
                '%s: new chunks span %s, but the project has %s. '
                'fix: dbt run-operation apply_hypertables',
                h.relation, h.time_interval, h.chunk
            ) end)
            " ~ (",
            (2, case when (h.segment_by, h.order_by) is distinct from (h.segmentby, h.orderby)
                and h.segment_by is not null then format(
                'alter table %s set (timescaledb.enable_columnstore, timescaledb.segmentby = %L, '
                'timescaledb.orderby = %L)', h.relation, h.segment_by, h.order_by
            ) end, null),
            (3, case when h.compressed_after <> coalesce(h.compress_after, '0') then format(
                'call remove_columnstore_policy(%L)', h.relation
            ) end, null),
            (4, case when h.compress_after <> coalesce(h.compressed_after, '0') then format(
                'call add_columnstore_policy(%L, after => %L::interval, '
                'initial_start => now() + interval ''12 hours'')', h.relation, h.compress_after
            ) end, null),
            (5, null, case when h.dropped_after is not null then format(
                '%s: a server policy drops days after %s even before models have read them. '
                'fix: select remove_retention_policy(%L)',
                h.relation, h.dropped_after, h.relation
            ) end)
            " if edition == 'tsl' else "") ~ "
        ) as steps (step, statement, own)
        where coalesce(steps.statement, steps.own) is not null
        order by h.relation, steps.step
    ").rows -%}
        {%- if own -%}
            {%- do print(own) -%}
        {%- else -%}
            {%- do statements.append(statement) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(statements) }}
{%- endmacro %}
