{# One expiry of one moment: the key of forwards and smiles, in the aliases `a` and `b`. #}
{% macro same_chain(a, b) -%}
    {%- for column in [
        'symbol', 'trade_date', 'rollup_source_view', 'sample_time', 'trading_class', 'expiry'
    ] -%}
        {{ a }}.{{ column }} = {{ b }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
