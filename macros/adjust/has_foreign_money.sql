{#
    Whether the money of an action is in another currency than the prices: sources give yuan, also
    for B shares, which trade in dollars. An override is in the currency of the prices.
#}
{% macro has_foreign_money() -%}
    category = 1 and source <> 'override'
    and {{ stock_currency('code') }} <> 'CNY'
    and (cash_per10_yuan <> 0 or rights_per10 <> 0)
{%- endmacro %}

{# The rule that int_corporate_actions__refused gives for such an action. #}
{% macro foreign_money_rule() -%} must be in the currency of the prices {%- endmacro %}
