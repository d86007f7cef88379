{#
    Whether a row of int_daily_figures__computed may fail a check of int_bars__findings, by a wider
    rule in integers: the exact checks are made for these few.
#}
{% macro may_fail() -%}
    (
        last_trade_date is distinct from previous_trade_date
        or abs(open_li - last_close_li) > last_close_li / 10
        or high_li < greatest(open_li, low_li, close_li)
        or low_li > least(open_li, high_li, close_li)
        or low_li <= 0
        or volume_flag <> 'ok'
        or segment_starts[segment] = trade_date
    ) is true
{%- endmacro %}
