{#
    The board of a stock, by its digits, as seeds/price_limits.csv names it. B shares have the rules
    of the main board. Example: {{ board('s.code') }}
#}
{% macro board(code) -%}
    case
        when {{ code }} like 'bj%' then 'beijing'
        when {{ code }} like 'sh68%' then 'star'
        when {{ code }} like 'sz30%' then 'chinext'
        else 'main'
    end
{%- endmacro %}
