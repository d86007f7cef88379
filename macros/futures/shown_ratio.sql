{# A ratio of two whole numbers to read, with 18 places. #}
{% macro shown_ratio(numerator, denominator) -%}
    round(({{ numerator }} + 0.000000000000000000000000) / {{ denominator }}, 18)
{%- endmacro %}
