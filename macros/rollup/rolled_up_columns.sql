{#
    What becomes of the bars that make up a longer one; `bar_count` counts their minutes. `of` has the
    expressions of columns that are none yet: those of a continuous aggregate, which then says its types.

    A minute known by its price alone is one price: the bar takes it for what it is and is marked.
    A turnover that lacks a part is no turnover. First and last share one order, that of the key: the
    planner then sorts code by code as it reads, in little memory.
#}
{% macro rolled_up_columns(bar_count, of={}) -%}
    {%- set price = '::numeric(18, 3)' if of else '' -%}
    {%- set amount_cny = of.get('amount_cny', 'amount_cny') -%}
    {%- set is_price_only = of.get('is_price_only', 'is_price_only') -%}
    (array_agg({{ of.get('open', 'open') }} order by bar_end))[1]{{ price }} as open,
        max({{ of.get('high', 'high') }}){{ price }} as high,
        min({{ of.get('low', 'low') }}){{ price }} as low,
        (array_agg({{ of.get('close', 'close') }} order by bar_end))[count(*)]{{ price }} as close,
        sum({{ of.get('volume_shares', 'volume_shares') }})::bigint as volume_shares,
        case
            when count({{ amount_cny }}) = count(*) then sum({{ amount_cny }})::numeric(20, 3)
        end{{ '::numeric(20, 3)' if of else '' }} as amount_cny,
        {{ bar_count }}::integer as bar_count,
        bool_or({{ is_price_only }}) as is_price_only,
        bool_and(is_final and not ({{ is_price_only }})) as is_final
{%- endmacro %}
