{#
    What becomes of the bars that make up a longer one; `bar_count` counts their minutes.

    A minute known by its price alone is one price: the bar takes it for what it is and is marked.
    A turnover that lacks a part is no turnover. First and last share one order, that of the key: the
    planner then sorts code by code as it reads, in little memory.
#}
{% macro rolled_up_columns(bar_count) -%}
    (array_agg(open order by bar_end))[1] as open,
        max(high) as high,
        min(low) as low,
        (array_agg(close order by bar_end))[count(*)] as close,
        sum(volume_shares)::bigint as volume_shares,
        case
            when count(amount_cny) = count(*) then sum(amount_cny)::numeric(20, 3)
        end as amount_cny,
        {{ bar_count }}::integer as bar_count,
        bool_or(is_price_only) as is_price_only,
        bool_and(is_final and not is_price_only) as is_final
{%- endmacro %}
