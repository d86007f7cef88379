{#
    Counts of stocks that rose, fell, stayed and closed at their limits; of rows with `close`,
    `previous_close`, `is_limit_up` and `is_limit_down`. Example:
    select exchange, {{ breadth_counts() }} from priced group by exchange
#}
{% macro breadth_counts() -%}
    count(*) as stock_count,
        count(*) filter (where close > previous_close) as up_count,
        count(*) filter (where close < previous_close) as down_count,
        count(*) filter (where close = previous_close) as flat_count,
        count(*) filter (where is_limit_up) as limit_up_count,
        count(*) filter (where is_limit_down) as limit_down_count
{%- endmacro %}
