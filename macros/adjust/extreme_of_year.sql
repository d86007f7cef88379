{# The highest or negative lowest price of the year that ends with a bar; null without any. #}
{% macro extreme_of_year(price, kind) -%}
    {%- set bound = price_bound(kind) -%}
    {%- set period = 'period_units * 1e25' if kind == 'exact' else 'period_units' -%}
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
