{#
    The lines of a seed that users edit, cut into cells: `line`, a text per column (null where it is
    empty), whether the line has_more_cells than the header, and which columns the header is
    `lacking` (or has twice): then only line 1 is returned. Blank lines and further columns do not
    count. A cell with a comma stands in quotes.
#}
{% macro seed_cells(seed, columns) -%}
    with cut as (
        select
            s.line,
            array(
                select
                    nullif(btrim(
                        case
                            when m.parts[1] like '"%"'
                                then replace(
                                    substr(m.parts[1], 2, length(m.parts[1]) - 2), '""', '"'
                                )
                            else m.parts[1]
                        end,
                        e' \t\n\r\u00a0\u3000\ufeff'
                    ), '')
                from regexp_matches(
                    s.content || ',', '[ \t]*("(?:[^"]|"")+"|[^,]*)[ \t]*,', 'g'
                ) with ordinality as m (parts, place)
                order by m.place
            ) as cells
        from {{ ref(seed) }} as s
    ),

    header as materialized (
        select
            h.names,
            (
                select string_agg(c.name, ', ' order by c.place)
                from unnest('{ {{- columns | join(',') -}} }'::text[])
                    with ordinality as c (name, place)
                where cardinality(array_positions(h.names, c.name)) <> 1
            ) as lacking
        from (select lower(cells::text)::text[] as names from cut where line = 1) as h
    )

    select
        c.line,
        {% for column in columns -%}
        case when h.lacking is null then c.cells[array_position(h.names, '{{ column }}')] end
            as {{ column }},
        {% endfor -%}
        array_remove(c.cells[cardinality(h.names) + 1:], null) <> '{}' as has_more_cells,
        h.lacking
    from cut as c
    cross join header as h
    where
        case
            when h.lacking is null then c.line > 1 and array_remove(c.cells, null) <> '{}'
            else c.line = 1
        end
{%- endmacro %}
