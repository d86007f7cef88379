{# The first trading day after `day`; past the end of the calendar weekdays count. #}
{% macro next_trading_day(calendar, day) -%}
    coalesce(
        (select min(c.trade_date) from {{ calendar }} as c where c.trade_date > {{ day }}),
        {{ day }} + case extract(isodow from {{ day }})
            when 5 then 3
            when 6 then 2
            else 1
        end
    )
{%- endmacro %}
