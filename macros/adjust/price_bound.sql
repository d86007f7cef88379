{#
    What prices in li stay below: as integers 2^51, which leaves 2^11 periods to a bigint, more than
    days until 2999 need; as numerics more than the largest bigint times any coefficient.
#}
{% macro price_bound(kind) -%}
    2251799813685248{{ 'e25' if kind == 'exact' }}
{%- endmacro %}
