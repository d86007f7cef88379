{#
    The adjustment of segment `a` of int_main_segments__adjusted, and the prices of bar `b` adjusted
    with it: back and forward, by difference and by ratio. Those by ratio are rounded once, half
    upwards: `div` is exact, where a quotient would be rounded before.
#}
{% macro adjusted_prices() -%}
    {%- set prices = ['open', 'high', 'low', 'close'] -%}
    {%- set ways = ['back', 'forward'] -%}
    {%- for way in ways -%}
    a.{{ way }}_diff,
    {{ shown_ratio('a.' ~ way ~ '_numerator', 'a.' ~ way ~ '_denominator') }} as {{ way }}_ratio,
    {% endfor -%}
    {%- for way in ways -%}
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
