{# The four prices of a bar in yuan. With `zero_is_none`, 0 means no price. #}
{% macro prices_in_yuan(zero_is_none=false) -%}
    {%- for price in ['open', 'high', 'low', 'close'] -%}
        {{ in_yuan(none_if_unset(price, 'above_zero') if zero_is_none else price) }} as {{ price }}
        {{- ',\n    ' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
