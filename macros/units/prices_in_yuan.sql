{# The four prices of a bar in yuan; landed tables hold li. Where `zero_is_none`, 0 stands for no price. #}
{% macro prices_in_yuan(zero_is_none=false) -%}
    {%- for price in ['open', 'high', 'low', 'close'] -%}
        ({{ 'nullif(' ~ price ~ ', 0)' if zero_is_none else price }} * 0.001)::numeric(18, 3) as {{ price }}
        {{- ',\n    ' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
