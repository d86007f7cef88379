{#
    One bar of the bars of a group, which the column `order` orders. First and last share one order:
    the planner then sorts once.
#}
{% macro folded_bars(order) -%}
    (array_agg(open order by {{ order }}))[1]::numeric(18, 3) as open,
    max(high)::numeric(18, 3) as high,
    min(low)::numeric(18, 3) as low,
    (array_agg(close order by {{ order }}))[count(*)]::numeric(18, 3) as close,
    sum(volume_shares)::bigint as volume_shares,
    sum(amount_cny)::numeric(20, 3) as amount_cny
{%- endmacro %}
