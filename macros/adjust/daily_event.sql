{#
    m and c of the event that all actions of one code and day make: quantities add up; money for
    rights is the sum of the products. The money is per share held before a split of the same day.
#}
{% macro daily_event() -%}
    trim_scale(
        (1 + sum(case category when 11 then 0 else m - 1 end))
        * {{ inner_schema() }}.nprod(case category when 11 then m else 1 end)
    ) as m,
    trim_scale(sum(c)) as c
{%- endmacro %}
