{# The currency of a stock's prices: B shares trade in dollars. #}
{% macro stock_currency(code) -%}
    case
        when {{ code }} like 'sh9%' then 'USD' when {{ code }} like 'sz2%' then 'HKD' else 'CNY'
    end
{%- endmacro %}
