{#
    The day of a text such as 2024-06-03, 2024/6/3 or 20240603; null for another, as 2024-02-31.
#}
{% macro read_day(text) -%}
    {%- set month, day = '(0?[1-9]|1[0-2])', '(0?[1-9]|[12][0-9]|3[01])' -%}
    {#- a test that cuts out no parts: to cut them by a pattern takes 20 times as long -#}
    case
        when
            {{ text }} ~ '^(19|20)[0-9]{2}(-{{ month }}-{{ day }}|/{{ month }}/{{ day }}|
                {#- without separators, both have two digits #}
                {{- (month ~ day).replace('0?', '0') }})$'
            then (
                select case when extract(month from d.day) = p.parts[2]::integer then d.day end
                from (
                    select
                        case
                            when {{ text }} ~ '^[0-9]{8}$'
                                then array[
                                    left({{ text }}, 4), substr({{ text }}, 5, 2),
                                    substr({{ text }}, 7)
                                ]
                            else string_to_array(translate({{ text }}, '/', '-'), '-')
                        end as parts
                ) as p
                cross join lateral (
                    select
                        make_date(p.parts[1]::integer, p.parts[2]::integer, 1)
                        + p.parts[3]::integer - 1 as day
                ) as d
            )
    end
{%- endmacro %}
