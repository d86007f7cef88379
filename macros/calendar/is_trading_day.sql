{#
    Whether the calendar has the date `day`, asked row by row by its key: of the bars that a `limit`
    walks through only the first ones are looked at. As `exists` it may become a join of all of them
    with the calendar.
#}
{% macro is_trading_day(day) -%}
    (
        select d.trade_date from {{ ref('trading_calendar') }} as d
        where d.trade_date = {{ day }}
    ) is not null
{%- endmacro %}
