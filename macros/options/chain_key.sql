{# The key of forwards and smiles: one expiry of one moment. #}
{% macro chain_key() -%}
    {{ return([
        'symbol', 'trade_date', 'rollup_source_view', 'sample_time', 'trading_class', 'expiry'
    ]) }}
{%- endmacro %}

{# Its columns, of the alias where one is given. #}
{% macro chain_columns(alias=none) -%}
    {%- for column in chain_key() -%}
        {{ alias ~ '.' if alias }}{{ column }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# Whether the aliases `a` and `b` are of the same chain. #}
{% macro same_chain(a, b) -%}
    {%- for column in chain_key() -%}
        {{ a }}.{{ column }} = {{ b }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
