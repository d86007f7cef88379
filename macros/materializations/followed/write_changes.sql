{#
    Write what differs between the query and the table to the table and to the feed, within what was
    `taken` where that is 'some'. All in one statement, so that target/run shows it.
#}
{% macro default__write_changes(target_relation, sql, columns, take, taken='taken') -%}
    {%- call statement('main') -%}
        {{ differing(target_relation, sql, columns, taken if take == 'some') }};

        {{ delete_gone(target_relation) }};

        insert into ops.changes ({{ feed_columns() }}) {{ rows_for_feed('differing') }};

        {{ upsert(target_relation, columns, 'differing') }}
    {%- endcall -%}
    {%- do run_query("drop table differing") -%}
{%- endmacro %}

{#
    The temporary table differing: rows of the query that the table lacks or has otherwise, and, as
    is_gone, keys of the table that the query lacks; within what was `taken`. It is filled before
    anything is written: an upsert that changes nothing still opens compressed chunks. Rows whose
    sources are gone stay as they are (see preserved_rows).
#}
{% macro differing(target_relation, sql, columns, taken) -%}
    {%- set key = key_columns() -%}
    {%- set rest = columns | rejectattr('name', 'in', key) | list -%}
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
    from ({{ changed_query(taken) if taken else sql }}) as made
    full join ({{ stored_rows(target_relation, 'taken' if taken else none) }}) as stored
        on {% for c in key %}made.{{ c }} = stored.{{ c }}{{ ' and ' if not loop.last }}{% endfor %}
    where
        {% if keeps -%}
        (stored.{{ key[0] }} is not null and ({{ keeps }})) is not true and
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

{# The rows of the table on the days taken, or all. #}
{% macro stored_rows(target_relation, taken) -%}
    {{ taken_rows(target_relation, config.get('meta')['by'], taken=taken) if taken
        else 'select * from ' ~ target_relation }}
{%- endmacro %}

{#
    Delete the rows of the temporary table differing that are gone, those of one entity and month at
    once: in a compressed hypertable literal keys and bounds of time open only the batches that hold
    them; a join would open every chunk.

    Neither this nor the upsert limits how many rows are opened: only what differs is written, yet
    two rows of a month may open all between them. Plain PostgreSQL ignores the setting.
#}
{% macro delete_gone(target_relation) -%}
    {%- set key = key_columns() -%}
    {%- set by = (config.get('meta') or {}).get('by') -%}
    {%- set time = by if by in key else none -%}
    {%- set names = key | reject('equalto', time) | list -%}
    do $delete$
    declare
        gone record;
    begin
        perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);

        for gone in
            select
                {{ names | join(', ') }}
                {%- if time %}{{ ', ' if names }}
                array_agg({{ time }}) as times,
                min({{ time }}) as first_time,
                max({{ time }}) as last_time
                {%- endif %}
            from differing
            where is_gone
            {% if time -%}
            group by {{ (names + ["date_trunc('month', " ~ time ~ ")"]) | join(', ') }}
            {%- endif %}
        loop
            execute 'delete from {{ target_relation }} where
                {% for name in names -%}
                {{ name }} = ${{ loop.index }}{{ ' and ' if not loop.last }}
                {%- endfor %}
                {%- if time %}{{ ' and ' if names }}{{ time }} = any(${{ names | length + 1 }})
                and {{ time }} between ${{ names | length + 2 }} and ${{ names | length + 3 }}
                {%- endif %}'
            using
                {% for name in names -%}
                gone.{{ name }}{{ ', ' if time or not loop.last }}
                {%- endfor %}
                {%- if time %}gone.times, gone.first_time, gone.last_time{% endif %};
        end loop;
    end
    $delete$
{%- endmacro %}

{% macro upsert(target_relation, columns, differing) -%}
    {%- set key = key_columns() -%}
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
