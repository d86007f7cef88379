{# The number of a text such as 1.5 or -2; null for another, or with too many digits. #}
{% macro read_number(text) -%}
    case when {{ text }} ~ '^-?[0-9]{1,12}([.][0-9]{1,9})?$' then {{ text }}::numeric end
{%- endmacro %}
