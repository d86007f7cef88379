{#
    Whether the money of an action is in another currency than the prices: sources tell yuan, also of
    B shares, which trade in dollars. An override is written in the currency of the prices, an inferred
    action found in them.
#}
{% macro has_foreign_money() -%}
    category = 1 and source not in ('override', 'inferred') and {{ currency_of_stock('code') }} <> 'CNY'
    and (cash_per10_yuan <> 0 or rights_per10 <> 0)
{%- endmacro %}

{# What int_corporate_actions__refused says of such an action. #}
{% macro foreign_money_rule() -%} must be in the currency of the prices {%- endmacro %}
