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

{#
    What prices in li stay below: as integers 2^53, which leaves 2^9 periods to a bigint; as
    numerics more than the largest bigint times any coefficient.
#}
{% macro price_bound(kind) -%}
    9007199254740992{{ 'e24' if kind == 'exact' }}
{%- endmacro %}

{# The highest or negative lowest price of the year that ends with a bar; null without any. #}
{% macro extreme_of_year(price, kind) -%}
    {%- set bound = price_bound(kind) -%}
    {%- set period = 'period_units * 1e24' if kind == 'exact' else 'period_units' -%}
    {%- set until = price ~ '_' ~ kind ~ '_until - ' ~ period -%}
    {%- set since = price ~ '_' ~ kind ~ '_since + ' ~ period ~ ' - 2 * ' ~ bound -%}
    case
        when coalesce({{ price }}_{{ kind }}_until, {{ price }}_{{ kind }}_since) is not null
            then greatest(
                case when {{ until }} > -{{ bound }} then {{ until }} end,
                case when {{ since }} > -{{ bound }} then {{ since }} end
            )
    end
{%- endmacro %}
