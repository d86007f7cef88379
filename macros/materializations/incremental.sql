{#
    Incremental by one strategy, `upsert`: make the table equal to the query, write only what
    differs, always into the same relation, so that hypertables, indexes, grants and readers' views
    stay.

    A model with meta.follows takes only what changed there since its cursor in ops.change_cursors
    (see docs block change_feed); everything where it has none, where its query, a setting or a seed
    that it reads is another one, or with --full-refresh. A model without meta.follows takes
    everything each time. What is written goes into the feed and the cursor moves, both in the
    transaction of the rows.
#}
{% materialization incremental, adapter='postgres' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set follows = (config.get('meta') or {}).get('follows') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- do use_build_settings() -%}

    {%- do create_probe_view(sql) -%}
    {%- if existing is not none and not fit_existing_table(existing) -%}
        {%- set existing = none -%}
    {%- endif -%}
    {%- set take = 'everything' -%}
    {%- if follows -%}
        {%- set stored = stored_below(model.unique_id) -%}
        {%- do require_followed(stored['tables'], follows) -%}
        {%- set cursor = change_cursor(follows | string ~ seed_hashes(stored['seeds'])) -%}
        {%- if existing is not none and not should_full_refresh() -%}
            {%- set take = take_changes(cursor['seen'], cursor['now']) -%}
        {%- endif -%}
    {%- endif -%}
    {%- do run_query("drop view quotemill_probe") -%}

    {%- if existing is none -%}
        {%- do fill_new_table(target_relation, sql) -%}
        {%- do run_query(
            "insert into ops.changes (table_name)
            values ('" ~ this.schema ~ "." ~ this.identifier ~ "')"
        ) -%}
    {%- elif take == 'nothing' -%}
        {%- call statement('main') -%} select 1 where false {%- endcall -%}
    {%- else -%}
        {%- set columns = adapter.get_columns_in_relation(target_relation) -%}
        {%- set on_nodes = is_distributed(target_relation) -%}
        {%- set table = working_table('differing', on_nodes) -%}
        {%- set taken = {'read': 'taken', 'stored': 'taken'} -%}
        {%- if take == 'some' and reads_nodes() -%}
            {%- do taken.update(read=distribute_taken()) -%}
            {%- if on_nodes -%}{%- do taken.update(stored=taken['read']) -%}{%- endif -%}
        {%- endif -%}
        {%- if on_nodes -%}{%- do distribute_differing(table, columns) -%}{%- endif -%}
        {#- all in one statement, so that target/run shows it -#}
        {%- call statement('main') -%}
            {% set read = taken if take == 'some' -%}
            {% if on_nodes -%}
            {{ differing_on_nodes(sql, target_relation, columns, read, table) }};

            {{ delete_gone_on_nodes(target_relation, table) }};
            {%- else -%}
            {{ differing(sql, target_relation, columns, read) }};

            {{ delete_gone(target_relation) }};
            {%- endif %}

            {{ record_changes(table, on_nodes) }};

            {{ upsert(target_relation, columns, table) }}
        {%- endcall -%}
        {%- do run_query("drop table " ~ table) -%}
        {%- if taken['read'] != 'taken' -%}
            {%- do run_query("drop table " ~ taken['read']) -%}
        {%- endif -%}
    {%- endif -%}
    {%- if follows -%}{%- do move_cursor(cursor) -%}{%- endif -%}

    {{ return(finish_relation(target_relation)) }}
{%- endmaterialization %}

{#
    The temporary table differing: rows of the query that the table lacks or has otherwise, and, as
    is_gone, keys of the table that the query lacks; within what was `taken`. It is filled before
    anything is written: an upsert that changes nothing still opens compressed chunks. Rows whose
    sources are gone stay as they are (see preserved_rows).
#}
{% macro differing(sql, target_relation, columns, taken) -%}
    {%- set key = config.get('unique_key') -%}
    {%- set rest = columns | rejectattr('name', 'in', key) | list -%}
    {%- set by = (config.get('meta') or {}).get('by') -%}
    {%- set keeps = preserved_rows() -%}
    create temporary table differing on commit drop as
    select
        {% for c in columns -%}
        {% if c.name in key + [feed_date()] -%}
        coalesce(made.{{ c.name }}, stored.{{ c.name }}) as {{ c.name }},
        {%- else -%}
        made.{{ c.name }},
        {%- endif %}
        {% endfor -%}
        made.{{ key[0] }} is null as is_gone
    from ({{ changed_query(taken['read']) if taken else sql }}) as made
    full join ({{
        taken_rows(target_relation, by, taken=taken['stored']) if taken
        else 'select * from ' ~ target_relation
    }}) as stored
        on {% for c in key %}made.{{ c }} = stored.{{ c }}{{ ' and ' if not loop.last }}{% endfor %}
    where
        {% if keeps -%}
        ({{ keeps }}) is not true and
        {%- endif %}
        (made.{{ key[0] }} is null
        or stored.{{ key[0] }} is null
        {% if rest -%}
        or (
            {% for c in rest -%}
            made.{{ c.name }}::{{ c.data_type }}{{ ', ' if not loop.last }}
            {%- endfor %}
        ) is distinct from (
            {% for c in rest %}stored.{{ c.name }}{{ ', ' if not loop.last }}{% endfor %}
        )
        {%- endif %})
{%- endmacro %}

{% macro upsert(target_relation, columns, differing) -%}
    {%- set key = config.get('unique_key') -%}
    {%- set names = columns | map(attribute='name') | list -%}
    {%- set rest = names | reject('in', key) | list -%}
    insert into {{ target_relation }} as d ({{ names | join(', ') }})
    select {{ names | join(', ') }} from {{ differing }} where not is_gone
    on conflict ({{ key | join(', ') }}) do
    {% if rest -%}
    update set {% for c in rest %}{{ c }} = excluded.{{ c }}{{ ', ' if not loop.last }}{% endfor %}
    where (d.{{ rest | join(', d.') }}) is distinct from (excluded.{{ rest | join(', excluded.') }})
    {%- else -%}
    nothing
    {%- endif %}
{%- endmacro %}
