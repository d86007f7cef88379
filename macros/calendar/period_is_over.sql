{#
    Whether the week or month (`period`) of the date `day` is over: the market's next trading day,
    even an announced one, lies after it. So the bar of a suspended code becomes final, and no bar
    is final in mid-week. True while no bar is final: then the bars themselves are not.

    A period ends without a change of its bars: a model that stores the answer reads
    int_market_day__next (as `market_day`) and follows its changes.
#}
{% macro period_is_over(period, day, market_day=none) -%}
    coalesce(
        date_trunc('{{ period }}', {{ day }}::timestamp) + interval '1 {{ period }}'
        <= (
            select market_day.next_trade_date
            from {{ market_day or ref('int_market_day__latest') }} as market_day
        ),
        true
    )
{%- endmacro %}
