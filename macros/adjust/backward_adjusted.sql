{#
    A raw price adjusted backward (hfq) with the coefficients of segment `s`: the first day is
    unchanged, later days are scaled up. Without a segment the price is unchanged.
#}
{% macro backward_adjusted(price) -%}
    round(
        coalesce(s.backward_a, 1) * {{ price }} + coalesce(s.backward_b, 0),
        coalesce(s.price_decimals, 2)
    )::numeric(18, 3)
{%- endmacro %}
