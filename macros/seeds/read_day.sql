{#
    The day of a text such as 2024-06-03, 2024/6/3 or 20240603; null for another, as 2024-02-31.
#}
{% macro read_day(text) -%}
    (
        select case when extract(month from d.day) = p.parts[3]::integer then d.day end
        from (
            select regexp_match(
                {{ text }},
                '^((?:19|20)[0-9]{2})([-/]?)(0[1-9]|1[0-2]|[1-9])\2(0[1-9]|[12][0-9]|3[01]|[1-9])$'
            ) as parts
        ) as p
        cross join lateral (
            select make_date(p.parts[1]::integer, p.parts[3]::integer, 1) + p.parts[4]::integer - 1
                as day
        ) as d
        -- without separators, both have two digits
        where {{ text }} !~ '^[0-9]{0,7}$'
    )
{%- endmacro %}
