{#
    The model of the bars of `minutes` minutes from the shorter ones of `bars`, whose changes it follows by
    the name `follows`; `bar_count` counts the minutes in them.
#}
{% macro bars_of_minutes(minutes, bars, bar_count, follows) -%}
    {{ config(
        materialized='incremental',
        unique_key=['code', 'bar_end'],
        indexes=[{'columns': ['trade_date']}],
        meta={'follows': {follows: 'day'}, 'by': 'bar_end', 'outlives': 'raw_tdx.kline_minute'},
    ) }}
    select
        code,
        {{ end_of_bucket(minutes) | indent }} as bar_end,
        max(trade_date) as trade_date,
        {{ rolled_up_columns(bar_count) }}
    from {{ changed(bars, by='bar_end') }}
    group by
        code,
        {{ end_of_bucket(minutes) | indent }}
{%- endmacro %}
