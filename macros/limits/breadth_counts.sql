{#
    How many stocks rose, fell, stood still and closed at their limits. Of rows with `close`,
    `previous_close` and `allowed`, the furthest that the one may lie from the other.
#}
{% macro breadth_counts() -%}
    count(*) as stock_count,
        count(*) filter (where close > previous_close) as up_count,
        count(*) filter (where close < previous_close) as down_count,
        count(*) filter (where close = previous_close) as flat_count,
        count(*) filter (where close >= previous_close + allowed) as limit_up_count,
        count(*) filter (where close <= previous_close - allowed) as limit_down_count
{%- endmacro %}
