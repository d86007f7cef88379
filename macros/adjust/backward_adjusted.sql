{#
    The raw prices of bar `b` adjusted backward (hfq) with the coefficients of segment `s`: the
    first day is unchanged, later days are scaled up. Without a segment the prices are unchanged.
#}
{% macro backward_adjusted() -%}
    {%- for price in ('open', 'high', 'low', 'close') -%}
        round(
        coalesce(s.backward_a, 1) * b.{{ price }} + coalesce(s.backward_b, 0),
        coalesce(s.price_decimals, 2)
    )::numeric(18, 3) as {{ price }}{{ ",\n    " if not loop.last }}
    {%- endfor %}
{%- endmacro %}
