{#
    Delete the rows of the temporary table differing that are gone, those of one entity and month at
    once: in a compressed hypertable literal keys and bounds of time open only the batches that hold
    them; a join would open every chunk.

    Neither this nor the upsert limits how many rows are opened: only what differs is written, yet
    two rows of a month may open all between them. Plain PostgreSQL ignores the setting.
#}
{% macro delete_gone(target_relation) -%}
    {%- set key = config.get('unique_key') -%}
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
