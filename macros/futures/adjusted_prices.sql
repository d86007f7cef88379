{#
    The prices of bar `b` adjusted back and forward with segment `a` of int_main_segments__adjusted,
    by difference and by ratio. Those by ratio are rounded once, half upwards: `div` is exact, where
    a quotient would be rounded before.
#}
{% macro adjusted_prices() -%}
    {%- set prices = ['open', 'high', 'low', 'close'] -%}
    {%- for way in ['back', 'forward'] -%}
    {%- for price in prices -%}
    (b.{{ price }} + a.{{ way }}_diff)::numeric(24, 9) as {{ price }}_{{ way }}_diff,
    {% endfor -%}
    {%- for price in prices -%}
    (
        div(
            2000000000 * b.{{ price }} * a.{{ way }}_numerator + a.{{ way }}_denominator,
            2 * a.{{ way }}_denominator
        ) * 0.000000001
    )::numeric(24, 9) as {{ price }}_{{ way }}_ratio
    {{- ',\n    ' if not loop.last }}
    {%- endfor -%}
    {{- ',\n    ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
