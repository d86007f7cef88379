{#
    The upper or lower limit price of a day: `percent` from `previous_close`, rounded to the tick,
    half away from zero, and at least a tick from it (SSE 2023 No. 32, 3.3.17; SZSE 2023 No. 98,
    3.3.19). Example: {{ limit_price('up', 'b.previous_close', 't.limit_percent', 2) }}
#}
{% macro limit_price(side, previous_close, percent, price_decimals) -%}
    {%- set sign, outer = ('+', 'greatest') if side == 'up' else ('-', 'least') -%}
    {{ outer }}(
        round({{ previous_close }} * (100 {{ sign }} {{ percent }}) * 0.01, {{ price_decimals }}),
        {{ previous_close }} {{ sign }} case {{ price_decimals }} when 3 then 0.001 else 0.01 end
    )
{%- endmacro %}
