{#
    Incremental strategy `upsert`: make the table equal to the query, writing only what differs.

    Rows that are gone from the query are deleted, changed ones updated, new ones inserted; a run with
    nothing new writes no row. A model whose query covers just the changed bars (see take_changes)
    names its date column, or bar_end, in meta.changed_by, and deletion keeps within those bars.
    The insert comes last: dbt reports the rows of the last statement.
#}
{% macro get_incremental_upsert_sql(arg_dict) -%}
    {%- set target_relation = arg_dict['target_relation'] -%}
    {%- set batch = arg_dict['temp_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='name') | list -%}
    {%- set key = arg_dict['unique_key'] -%}
    {%- set rest = columns | reject('in', key) | list -%}
    {%- set changed_by = (config.get('meta') or {}).get('changed_by') -%}

    delete from {{ target_relation }} as d
    {% if changed_by -%}
        using ({{ taken_changes() }}) as t
        where d.code = t.code
            and {{ within_change('d', changed_by) }}
            and
    {%- else -%}
        where
    {%- endif %} not exists (
        select from {{ batch }} as b
        where {% for c in key %}b.{{ c }} = d.{{ c }}{{ ' and ' if not loop.last }}{% endfor %}
    );

    insert into {{ target_relation }} as d ({{ get_quoted_csv(columns) }})
    select {{ get_quoted_csv(columns) }} from {{ batch }}
    on conflict ({{ key | join(', ') }}) do update set
        {% for c in rest %}{{ c }} = excluded.{{ c }}{{ ', ' if not loop.last }}{% endfor %}
    where ({% for c in rest %}d.{{ c }}{{ ', ' if not loop.last }}{% endfor %})
        is distinct from ({% for c in rest %}excluded.{{ c }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}
