{#
    Whether the turnover of a raw bar divided by `hands` of 100 shares is a price of that day:
    within [low, high] and one per cent. Turnover and volume both zero fit; no volume never does. In
    floats: the products are exact up to 2^53 and cost a fifth, and the test is no finer than a per
    cent.
#}
{% macro turnover_fits(hands) -%}
    (coalesce(
        amount between 99::float8 * low * ({{ hands }}) and 101::float8 * high * ({{ hands }}),
        false
    ))
{%- endmacro %}
