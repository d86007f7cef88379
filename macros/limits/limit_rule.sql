{#
    Which rule limits the price of a row of `day` (trade_date, previous_close, days_since_listing)
    whose row of int_limits__dated is `terms`; `is_st` is whether special treatment counts. Example:
    {{ limit_rule('b', 't', 't.is_st') }}
#}
{% macro limit_rule(day, terms, is_st) -%}
    case
        when {{ terms }}.code is null then 'before_limits'
        when {{ day }}.days_since_listing < {{ terms }}.days_without_limit then 'new_listing'
        when {{ day }}.previous_close is null then 'first_bar'
        when {{ day }}.trade_date = {{ terms }}.delisting_from then 'delisting_first_day'
        when {{ is_st }} then 'special_treatment'
        else 'board'
    end
{%- endmacro %}

{#
    The percentage of a rule of limit_rule(); null where it sets no limit. Example:
    {{ rule_percent('b.rule', 't') }}
#}
{% macro rule_percent(rule, terms) -%}
    case {{ rule }}
        when 'special_treatment' then {{ terms }}.st_limit_percent
        when 'board' then {{ terms }}.limit_percent
    end
{%- endmacro %}
