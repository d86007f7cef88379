{#
    The raw prices of bar `b` adjusted forward (qfq) with the coefficients of segment `s`: exact
    backward ones, one division, rounded once, half away from zero. Rounded forward factors would
    lose half-cent ties. Without a segment the prices are unchanged.
#}
{% macro forward_adjusted() -%}
    {%- for price in ('open', 'high', 'low', 'close') -%}
        round(
        (
            coalesce(s.backward_a, 1) * b.{{ price }}
            + coalesce(s.backward_b, 0) - coalesce(s.latest_b, 0)
        )
        / coalesce(s.latest_a, 1),
        coalesce(s.price_decimals, 2)
    )::numeric(18, 3) as {{ price }}{{ ",\n    " if not loop.last }}
    {%- endfor %}
{%- endmacro %}
