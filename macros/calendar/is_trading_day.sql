{#
    Whether the day of the row `bar` (code, trade_date) is a trading day of its exchange, asked row
    by row by the key of the calendar: of the bars that a `limit` walks through only the first ones
    are looked at. As `exists` it may become a join of all of them with the calendar.
#}
{% macro is_trading_day(bar) -%}
    (
        select open_day.trade_date from {{ ref('trading_calendar') }} as open_day
        where
            open_day.trade_date = {{ bar }}.trade_date
            and (
                open_day.exchanges is null
                or strpos(open_day.exchanges, left({{ bar }}.code, 2)) > 0
            )
    ) is not null
{%- endmacro %}
