{#
    Why the price of a row `day` (trade_date, days_since_listing, and the column `previous_close`)
    has no limit; null where it has one. `terms` is the alias of its row of int_limits__dated;
    `place` subscripts its columns where they are arrays. Example: {{ no_limit_reason('b', 't') }}
#}
{% macro no_limit_reason(day, terms, previous_close='previous_close', place='') -%}
    case
        when {{ terms }}.valid_from{{ place }} is null then 'before_limits'
        when {{ day }}.days_since_listing < {{ terms }}.days_without_limit{{ place }}
            then 'new_listing'
        when {{ day }}.{{ previous_close }} is null then 'first_bar'
        when {{ day }}.{{ previous_close }} < 0 then 'dividend_above_close'
        when {{ day }}.trade_date = {{ terms }}.delisting_from{{ place }}
            then 'delisting_first_day'
    end
{%- endmacro %}
