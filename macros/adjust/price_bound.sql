{#
    What prices in li stay below: as integers 2^53, which leaves 2^9 periods to a bigint; as
    numerics more than the largest bigint times any coefficient.
#}
{% macro price_bound(kind) -%}
    9007199254740992{{ 'e24' if kind == 'exact' }}
{%- endmacro %}
