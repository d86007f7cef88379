{# A price in yuan; landed tables hold li. #}
{% macro in_yuan(price) -%}
    ({{ price }} * 0.001)::numeric(18, 3)
{%- endmacro %}
