{#
    A text that says which of ticks and day bar seems to count both sides of each trade, as
    exchanges other than CFFEX did before 2020; '' if neither does. `ticks` and `bar` are their
    lots, `trading_day` the newest day of these. No load asks for such a day again.
#}
{% macro counted_sides(ticks, bar, trading_day, contract) -%}
    case
        when {{ trading_day }} >= '2020-01-01' or {{ contract }} like 'CFFEX.%' then ''
        when {{ ticks }} between 1.98 * {{ bar }} and 2.02 * {{ bar }}
            then ': the ticks may count both sides of each trade, as was done before 2020'
        when {{ bar }} between 1.98 * {{ ticks }} and 2.02 * {{ ticks }}
            then ': the bar may count both sides of each trade, as was done before 2020'
        else ''
    end
{%- endmacro %}
