{#
    What is wrong with a line, as columns: the field, the rule that it breaks, and what is written
    there; null in a line that counts. `broken` has field and rule of the first that it breaks, and
    first_line is the first of the lines that say the same.
#}
{% macro seed_line_verdict() -%}
    case when broken is not null then broken[1] when line > first_line then 'line' end as field,
    case
        when broken is not null then broken[2]
        when line > first_line then 'repeats line ' || first_line
    end as rule,
    written ->> broken[1] as written_value
{%- endmacro %}
