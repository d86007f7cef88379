{#
    A raw price adjusted forward (qfq) with the coefficients of segment `s`: exact backward ones,
    one division, rounded once, half away from zero. Rounded forward factors would lose half-cent
    ties. Without a segment the price is unchanged.
#}
{% macro forward_adjusted(price) -%}
    round(
        (
            coalesce(s.backward_a, 1) * {{ price }}
            + coalesce(s.backward_b, 0) - coalesce(s.latest_b, 0)
        )
        / coalesce(s.latest_a, 1),
        coalesce(s.price_decimals, 2)
    )::numeric(18, 3)
{%- endmacro %}
