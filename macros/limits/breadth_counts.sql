{#
    Counts of stocks that rose, fell, stayed and closed at their limits; of rows with `close`,
    `previous_close`, `price_decimals` and `price_limit`, a share of the previous close (see the
    macro of that name). The exchange rounds the limit price itself, half a cent away from zero.
#}
{% macro breadth_counts() -%}
    count(*) as stock_count,
        count(*) filter (where close > previous_close) as up_count,
        count(*) filter (where close < previous_close) as down_count,
        count(*) filter (where close = previous_close) as flat_count,
        count(*) filter (
            where close >= round(previous_close * (1 + price_limit), price_decimals)
        ) as limit_up_count,
        count(*) filter (
            where close <= round(previous_close * (1 - price_limit), price_decimals)
        ) as limit_down_count
{%- endmacro %}
