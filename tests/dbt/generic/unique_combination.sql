{#
    Rows whose `columns` together occur more than once. Where a unique index of the table holds them
    apart there are none, and no row is read. Of a view, `found_by` may be a model that looks for
    duplicate_bar as rows change: then its findings are asked, once it is there; or `rows` a
    condition for those that are counted, where all are too many.
#}
{% test unique_combination(model, columns, found_by=none, rows=none) %}
    {%- if execute and found_by and load_relation(found_by) %}
    select
        {{ columns | join(', ') }},
        evidence
    from {{ found_by }}
    where check_name = 'duplicate_bar'
    {%- else %}
    {%- set held = execute and run_query("
        select 1 from pg_index as i
        where
            i.indrelid = to_regclass('" ~ model ~ "')
            and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
            and (
                select bool_and(a.attnotnull and a.attname in ('" ~ columns | join("', '") ~ "'))
                from unnest(i.indkey::smallint[]) with ordinality as k (attnum, n)
                inner join pg_attribute as a on a.attrelid = i.indrelid and k.attnum = a.attnum
                where k.n <= i.indnkeyatts
            )
    ").rows -%}
    select
        {{ columns | join(', ') }},
        count(*) as row_count
    from {{ model }}
    {% if held -%}
    where false
    {% elif rows -%}
    where {{ rows }}
    {% endif -%}
    group by {{ columns | join(', ') }}
    having count(*) > 1
    {%- endif %}
{% endtest %}
