{#
    The four prices of a bar in yuan. With `traded`, a condition: null if it does not hold (sources
    repeat the last close of a suspended code) or the price is 0.
#}
{% macro prices_in_yuan(traded=none) -%}
    {%- for price in ['open', 'high', 'low', 'close'] -%}
        {%- set known = none_if_unset(price, 'above_zero') -%}
        {{ in_yuan('case when ' ~ traded ~ ' then ' ~ known ~ ' end' if traded else price) }}
        {{- ' as ' ~ price }}
        {{- ',\n    ' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
