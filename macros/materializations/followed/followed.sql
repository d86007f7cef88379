{#
    Make a table equal to its query, by what changed in the tables that it follows.

    Only rows that differ are written, always into the same relation, so that hypertables, indexes,
    grants and readers' views stay; rows that the query no longer has are deleted. A model with
    meta.follows takes what changed there since its cursor in ops.change_cursors (see docs block
    change_feed); everything where it has none, where its query, a setting or a seed that it reads
    is another one, or with --full-refresh. A model without meta.follows takes everything each time.
    What is written goes into the feed and the cursor moves, both in the transaction of the rows.
#}
{% materialization followed, adapter='postgres' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set follows = (config.get('meta') or {}).get('follows') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if config.get('contract').enforced -%}
        {%- do get_assert_columns_equivalent(sql) -%}
    {%- endif -%}
    {%- do run_query("create temporary view quotemill_probe as " ~ as_contracted(sql)) -%}
    {%- set columns = none if existing is none else fit_existing_table(existing) -%}
    {%- set take = 'everything' -%}
    {%- if follows -%}
        {%- set stored = stored_below(model.unique_id) -%}
        {%- set missing = stored['tables'] | reject('in', follows) | sort -%}
        {%- if missing -%}
            {{ exceptions.raise_compiler_error(
                model.name ~ " reads " ~ missing | join(', ')
                ~ " and does not follow it. Add it to meta.follows with the reach of its changes"
            ) }}
        {%- endif -%}
        {#- the feed does not hold seeds -#}
        {%- set seeds = [] -%}
        {%- for seed in stored['seeds'] -%}
            {%- do seeds.append(run_query(
                "select md5(coalesce(string_agg(s::text, ' ' order by s::text), '')) from "
                ~ graph.nodes[seed].relation_name ~ " as s"
            ).rows[0][0]) -%}
        {%- endfor -%}
        {%- set cursor = change_cursor(follows | string ~ seeds | join(' ')) -%}
        {%- if columns and not should_full_refresh() -%}
            {%- set take = take_changes(cursor['seen'], cursor['now']) -%}
        {%- endif -%}
    {%- endif -%}
    {%- do run_query("drop view quotemill_probe") -%}

    {%- if not columns -%}
        {%- do by_edition('fill_new_table')(target_relation, sql) -%}
        {%- do run_query(
            "insert into ops.changes (table_name)
            values ('" ~ this.schema ~ "." ~ this.identifier ~ "')"
        ) -%}
    {%- elif take == 'nothing' -%}
        {%- call statement('main') -%} select 1 where false {%- endcall -%}
    {%- else -%}
        {%- do by_edition('write_changes')(target_relation, sql, columns, take) -%}
    {%- endif -%}
    {%- if follows -%}{%- do move_cursor(cursor) -%}{%- endif -%}

    {{ return(finish_relation(target_relation)) }}
{%- endmaterialization %}

{#
    The columns of a table, after those were added that only the query in pg_temp.quotemill_probe
    has, and those dropped that it no longer has: its rows stay, some of which nothing could build
    again. One with other types or another key is dropped (see drop_unfit_relation); then none.
#}
{% macro fit_existing_table(existing) -%}
    {%- set oid = "'" ~ existing ~ "'::regclass" -%}
    {%- set key = key_columns() -%}
    {%- set columns = run_query("
        select
            coalesce(q.attname, t.attname) as name,
            format_type(q.atttypid, q.atttypmod) as data_type,
            t.attname is null as is_new,
            q.attname is null as is_gone,
            ((q.atttypid, q.atttypmod) is distinct from (t.atttypid, t.atttypmod)) as is_other
        from (
            select * from pg_attribute
            where attrelid = 'pg_temp.quotemill_probe'::regclass and attnum > 0
        ) as q
        full join (
            select * from pg_attribute
            where attrelid = " ~ oid ~ " and attnum > 0 and not attisdropped
        ) as t on q.attname = t.attname
        order by t.attnum, q.attnum
    ").rows -%}
    {%- set wrong = [] -%}
    {%- for column in columns
        if column['is_other'] and not column['is_new'] and not column['is_gone'] -%}
        {%- do wrong.append('column ' ~ column['name']) -%}
    {%- endfor -%}
    {%- if not existing.is_table -%}
        {%- set wrong = ['it is a ' ~ existing.type] -%}
    {%- elif not has_unique_index(existing, key) -%}
        {%- do wrong.append('key ' ~ key | join(', ')) -%}
    {%- endif -%}
    {%- if wrong -%}
        {%- do drop_unfit_relation(existing, wrong | join(', ')) -%}
        {{ return(none) }}
    {%- endif -%}
    {%- for column in columns if column['is_new'] -%}
        {%- do run_query(
            "alter table " ~ existing ~ "
            add column " ~ column['name'] ~ " " ~ column['data_type']
        ) -%}
    {%- endfor -%}
    {%- set gone = columns | selectattr('is_gone') | map(attribute='name') | list -%}
    {%- if gone -%}{%- do drop_columns(existing, gone) -%}{%- endif -%}
    {{ return(columns | rejectattr('is_gone') | list) }}
{%- endmacro %}

{# Whether a table has a unique index of these columns, in any order. #}
{% macro has_unique_index(relation, columns) -%}
    {{ return(run_query("
        select 1 from pg_index as i where i.indrelid = '" ~ relation ~ "'::regclass
        and i.indisunique and (
            select array_agg(a.attname::text order by a.attname::text) from pg_attribute as a
            where a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        ) = array['" ~ columns | sort | join("', '") ~ "']
    ").rows | length > 0) }}
{%- endmacro %}
