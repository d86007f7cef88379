{#
    Fill the table `differing`, as the macro of that name does, by statements that a node takes with
    its own rows alone: a full join would send them to the coordinator.
#}
{% macro differing_on_nodes(sql, target_relation, columns, taken, table) -%}
    {%- set key = config.get('unique_key') -%}
    {%- set by = (config.get('meta') or {}).get('by') -%}
    {%- set names = columns | map(attribute='name') | list -%}
    {%- set rest = names | reject('in', key) | list -%}
    {%- set keeps = preserved_rows() -%}
    {%- set same_key -%}
        {% for c in key %}made.{{ c }} = stored.{{ c }}{{ ' and ' if not loop.last }}{% endfor %}
    {%- endset -%}
    insert into {{ table }} ({{ names | join(', ') }}, is_gone)
    select
        {{ names | join(',\n        ') }},
        false as is_gone
    from ({{ changed_query(taken['read']) if taken else sql }}) as made;

    {%- set gone = names | select('in', key + [feed_date()]) | list %}

    insert into {{ table }} ({{ gone | join(', ') }}, is_gone)
    select
        {% for c in gone -%}
        stored.{{ c }},
        {% endfor -%}
        true as is_gone
    from ({{
        taken_rows(target_relation, by, taken=taken['stored']) if taken
        else 'select * from ' ~ target_relation
    }}) as stored
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
        )
{%- endmacro %}
