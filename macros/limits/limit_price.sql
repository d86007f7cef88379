{#
    The upper or lower limit price of a day in li: `basis_points` from `previous_close`, both
    integers, rounded to the tick, half away from zero, and at least a tick from it (SSE 2023 No.
    32, 3.3.17; SZSE 2023 No. 98, 3.3.19). Null without them, and for a previous close that no bar
    is near: below zero, after a dividend above the price, or too large for the product. Example:
    {{ limit_price('up', 'b.previous_close_li', 't.basis_points', '10') }}
#}
{% macro limit_price(side, previous_close, basis_points, tick) -%}
    {%- set sign, outer = ('+', 'greatest') if side == 'up' else ('-', 'least') -%}
    case
        when {{ previous_close }} between 0 and 9999999999999 and {{ basis_points }} is not null
            then {{ outer }}(
                ({{ previous_close }} * (10000 {{ sign }} {{ basis_points }}) + 5000 * {{ tick }})
                / (10000 * {{ tick }}) * {{ tick }},
                {{ previous_close }} {{ sign }} {{ tick }}
            )
    end
{%- endmacro %}
