{#
    Whether the turnover of a landed bar fits `volume` units of `unit` shares (a literal) at prices
    within [low, high].

    The service rounds shares down to hands: h hands are from 100 h to 100 h + 99 shares, so the
    turnover is at least low * 100 h and less than high * 100 (h + 1). A thin fund or a new listing
    trades a few hands, where the odd shares are many per cent. Files count shares, with turnover
    cut to yuan: 14 for 15 shares at 0.95. Prices are exact, and the single float of the turnover
    errs by less than 1e-7; the further one per cent is for turnover that the source counts
    otherwise. Turnover without a hand fits if it is that of odd shares. In floats: the products are
    exact up to 2^53 and cost a fifth, and the test is no finer than a per cent.
#}
{% macro turnover_fits(volume, unit=100) -%}
    (coalesce(
        amount between {{ 0.99 * unit }}::float8 * low * ({{ volume }}){{ ' - 1000' if unit == 1 }}
        and {{ 1.01 * unit }}::float8 * high * ({{ volume }} + 1),
        false
    ))
{%- endmacro %}
