{#
    As default__write_changes, where the model reads or writes distributed tables: by statements
    that a node takes with its own rows alone, as a full join would send them to the coordinator.
    Citus distributes no temporary table: what a node works with is a table of the inner schema,
    dropped in the transaction that makes it.
#}
{% macro citus__write_changes(target_relation, sql, columns, take) -%}
    {%- set on_nodes = inner_schema() ~ '.{}_' ~ model.name -%}
    {%- set taken = 'taken' -%}
    {%- if take == 'some' and reads_nodes() -%}
        {%- set taken = on_nodes.format('taken') -%}
        {%- do run_query("create table " ~ taken ~ " as select * from taken with no data") -%}
        {%- do distribute_table(taken) -%}
        {%- do run_query("insert into " ~ taken ~ " select * from taken") -%}
    {%- endif -%}
    {%- if is_distributed(target_relation) -%}
        {%- do write_on_nodes(
            target_relation, sql, columns, taken if take == 'some', on_nodes.format('differing')
        ) -%}
    {%- else -%}
        {%- do default__write_changes(target_relation, sql, columns, take, taken) -%}
    {%- endif -%}
    {%- if taken != 'taken' -%}{%- do run_query("drop table " ~ taken) -%}{%- endif -%}
{%- endmacro %}

{# Whether this model follows a distributed table, which it then reads with `changed`. #}
{% macro reads_nodes() -%}
    {%- for name in (config.get('meta') or {}).get('follows', []) -%}
        {%- if is_distributed(feed_name(name)) -%}{{ return(true) }}{%- endif -%}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}

{# The same for a distributed table; `table` is that of what differs. #}
{% macro write_on_nodes(target_relation, sql, columns, taken, table) -%}
    {%- set key = key_columns() -%}
    {%- set names = columns | map(attribute='name') | list -%}
    {%- set rest = names | reject('in', key) | list -%}
    {%- set gone = names | select('in', key + [feed_date()]) | list -%}
    {%- set keeps = preserved_rows() -%}
    {%- set same_key -%}
        {% for c in key %}made.{{ c }} = stored.{{ c }}{{ ' and ' if not loop.last }}{% endfor %}
    {%- endset -%}
    {%- set typed = ['is_gone boolean'] -%}
    {%- for column in columns -%}
        {%- do typed.append(column['name'] ~ ' ' ~ column['data_type']) -%}
    {%- endfor -%}
    {%- do run_query("create table " ~ table ~ " (" ~ typed | join(', ') ~ ")") -%}
    {%- do distribute_table(table) -%}
    {%- call statement('main') -%}
        insert into {{ table }} ({{ names | join(', ') }}, is_gone)
        select
            {{ names | join(', ') }},
            false as is_gone
        from ({{ changed_query(taken) if taken else sql }}) as made;

        insert into {{ table }} ({{ gone | join(', ') }}, is_gone)
        select
            stored.{{ gone | join(', stored.') }},
            true as is_gone
        from ({{ stored_rows(target_relation, taken) }}) as stored
        left join {{ table }} as made on {{ same_key }}
        where made.{{ key[0] }} is null{{ ' and (' ~ keeps ~ ') is not true' if keeps }};

        delete from {{ table }} as made
        using {{ target_relation }} as stored
        where
            not made.is_gone and {{ same_key }}
            and (
                {{ '(' ~ keeps ~ ') is true or ' if keeps }}
                (made.{{ rest | join(', made.') }}) is not distinct from (
                    stored.{{ rest | join(', stored.') }}
                )
            );

        delete from {{ target_relation }} as stored
        using {{ table }} as made
        where made.is_gone and {{ same_key }};

        -- a node would fill the other columns by default: with the number of its own transaction
        create temporary table recorded on commit drop as {{ rows_for_feed(table) }};
        insert into ops.changes ({{ feed_columns() }}) select {{ feed_columns() }} from recorded;
        drop table recorded;

        {{ upsert(target_relation, columns, table) }}
    {%- endcall -%}
    {%- do run_query("drop table " ~ table) -%}
{%- endmacro %}
