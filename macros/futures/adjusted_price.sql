{#
    A price times a ratio of two whole numbers, rounded once to nine places, half upwards: `div` is
    exact, where a quotient of its own would be rounded twice.
#}
{% macro times_ratio(price, numerator, denominator) -%}
    div(2000000000 * {{ price }} * {{ numerator }} + {{ denominator }}, 2 * {{ denominator }})
    * 0.000000001
{%- endmacro %}

{# A ratio of two whole numbers to read, with 18 places. #}
{% macro shown_ratio(numerator, denominator) -%}
    round(({{ numerator }} + 0.000000000000000000000000) / {{ denominator }}, 18)
{%- endmacro %}
