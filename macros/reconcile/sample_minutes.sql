{# sample_rows for minutes, whose key is the end of the bar. #}
{% macro sample_minutes(relation) -%}
    {{ sample_rows(
        relation,
        "k.bar_end >= s.first_date::timestamp at time zone 'Asia/Shanghai'"
        ~ " and k.bar_end < (s.last_date + 1)::timestamp at time zone 'Asia/Shanghai'"
    ) }}
{%- endmacro %}
