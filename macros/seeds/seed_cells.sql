{#
    The lines of a seed that users edit, cut into cells: `line`, a text per column of seed_header
    (null where it is empty), and whether the line has_more_cells than the header. Blank lines and
    further columns do not count. A cell with a comma stands in quotes.
#}
{% macro seed_cells(seed) -%}
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
        where s.line > 0
    ),

    header as materialized (
        select lower(cells::text)::text[] as names from cut where line = 1
    )

    select
        c.line,
        {% for column in seed_header(seed) -%}
        c.cells[array_position(h.names, '{{ column }}')] as {{ column }},
        {% endfor -%}
        array_remove(c.cells[cardinality(h.names) + 1:], null) <> '{}' as has_more_cells
    from cut as c
    cross join header as h
    where c.line > 1 and array_remove(c.cells, null) <> '{}'
{%- endmacro %}
