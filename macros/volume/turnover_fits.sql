{#
    Whether the turnover of a raw bar divided by `hands` of 100 shares is a price of that day: within
    [low, high] and one per cent. Turnover and volume both zero fit; no volume never does.
#}
{% macro turnover_fits(hands) -%}
    (coalesce(amount between 99.0 * low * ({{ hands }}) and 101.0 * high * ({{ hands }}), false))
{%- endmacro %}
