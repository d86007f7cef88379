{#
    The columns of window `name` from which extreme_of_year gets the highest and lowest price of the
    365 days that end with a bar. Periods are of 365 days, so the year is the start of the bar's own
    period and the end of the one before, and no bar is compared twice.

    The number of its period is added to each price, and outweighs it. So of all bars `until` one,
    in ascending order, the greatest sum is in the bar's own period. With the number subtracted, of
    the bars `since` the first of the year, in descending order, it is in that one's period.

    A price is an integer, high_units, or else a numeric, high_exact; low_units and low_exact are
    negative, so that the lowest price is the greatest. period_units and period_exact, null without
    a numeric, are the number times twice price_bound().
#}
{% macro extremes_over(name) -%}
    {%- for price in ('high', 'low') -%}
        {%- for kind in ('units', 'exact') -%}
            max({{ price }}_{{ kind }} {{ '+' if name == 'until' else '-' }} period_{{ kind }})
    over {{ name }} as {{ price }}_{{ kind }}_{{ name }}
            {{- ',\n' if not loop.last }}
        {%- endfor -%}
        {{- ',\n' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
