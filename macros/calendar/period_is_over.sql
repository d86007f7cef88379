{#
    Whether the week or month (`period`) that the date `day` lies in is over: the market's next trading
    day, an announced one too, lies after it. So a code that is suspended does not keep its bar open,
    and no bar is final in mid-week. True while no bar is final: then the bars themselves say so.

    What is not over becomes so without a change of its bars: whoever stores the answer reads
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
