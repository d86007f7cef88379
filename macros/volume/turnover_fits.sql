{#
    Whether the turnover of a raw bar fits `hands` of 100 shares at prices within [low, high].

    Service and files round shares down to hands: h hands are from 100 h to 100 h + 99 shares, so
    the turnover is at least low * 100 h and less than high * 100 (h + 1). A thin fund or a new
    listing trades a few hands, where the odd shares are many per cent. Prices are exact, and the
    single float of the turnover errs by less than 1e-7; the further one per cent is for turnover
    that the source counts otherwise. Turnover without a hand fits if it is that of odd shares. In
    floats: the products are exact up to 2^53 and cost a fifth, and the test is no finer than a per
    cent.
#}
{% macro turnover_fits(hands) -%}
    (coalesce(
        amount between 99::float8 * low * ({{ hands }}) and 101::float8 * high * ({{ hands }} + 1),
        false
    ))
{%- endmacro %}
