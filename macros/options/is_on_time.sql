{#
    Whether the captured row `q` came within ib.slot_window_minutes of its slot. A later one shows
    the market of another time: it is stored, and never stands for its slot or for figures of a day.
#}
{% macro is_on_time(q) -%}
    coalesce(
        {{ q }}.capture_lag_s <= 60 * {{ setting('ib_slot_window_minutes', 15) | indent(8) }}, false
    )
{%- endmacro %}
