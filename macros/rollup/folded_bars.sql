{# One bar of the bars of a group, which the column `order` orders. #}
{% macro folded_bars(order) -%}
    (array_agg(open order by {{ order }}))[1] as open,
    max(high) as high,
    min(low) as low,
    (array_agg(close order by {{ order }} desc))[1] as close,
    sum(volume_shares) as volume_shares,
    sum(amount_cny) as amount_cny
{%- endmacro %}
