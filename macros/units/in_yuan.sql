{# A price in yuan, of a B share in its dollars; landed tables hold thousandths. #}
{% macro in_yuan(price) -%}
    ({{ price }} * 0.001)::numeric(18, 3)
{%- endmacro %}
