{# The highest or negative lowest price of the year that ends with a bar; null without any. #}
{% macro extreme_of_year(price, kind) -%}
    {%- set bound = price_bound(kind) -%}
    {%- set period = 'period_units * 1e25' if kind == 'exact' else 'period_units' -%}
    case
        when coalesce({{ price }}_{{ kind }}_until, {{ price }}_{{ kind }}_since) is not null
            then nullif(
                greatest(
                    {{ price }}_{{ kind }}_until - {{ period }},
                    {{ price }}_{{ kind }}_since + {{ period }} - 2 * {{ bound }},
                    -{{ bound }}
                ),
                -{{ bound }}
            )
    end
{%- endmacro %}
