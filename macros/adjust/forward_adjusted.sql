{#
    The raw prices of bar `b` adjusted forward (qfq) with the coefficients of segment `s`, exactly.
#}
{% macro forward_adjusted() -%}
    {%- for price in ('open', 'high', 'low', 'close') -%}
        {{ forward_adjusted_price('b.' ~ price) }} as {{ price }}{{ ",\n    " if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#
    One of these prices: exact backward coefficients, one division, rounded once, half away from
    zero. Rounded forward factors would lose half-cent ties. Without a segment the price is
    unchanged. `segment` is the alias that has the coefficients; `place` subscripts them where they
    are arrays.
#}
{% macro forward_adjusted_price(price, segment='s', place='') -%}
    round(
        (
            coalesce({{ segment }}.backward_a{{ place }}, 1) * {{ price }}
            + coalesce({{ segment }}.backward_b{{ place }}, 0) - coalesce({{ segment }}.latest_b, 0)
        )
        / coalesce({{ segment }}.latest_a, 1),
        coalesce({{ segment }}.price_decimals, 2)
    )::numeric(18, 3)
{%- endmacro %}
