{#
    The bars of `minutes` minutes: from the shorter ones of `bars`, with `bar_count` as their count
    of minutes, and `expressions` as in rolled_up_columns; as a continuous aggregate from the landed
    minutes.
#}
{% macro minute_bars(minutes, bars, bar_count, expressions={}) -%}
    {%- set continuous = is_continuous() %}
    select
        code,
        {{ bucket_end(minutes) | indent }} as bar_end,
        max(trade_date) as trade_date,
        {{
            rolled_up_columns('count(*)', minute_columns(), cast=true) if continuous
            else rolled_up_columns(bar_count, expressions)
        }}
    from {{ config.get('meta')['continuous']['of'] if continuous else changed(bars, by='bar_end') }}
    group by
        code,
        {% if continuous -%}
        time_bucket('1 day', bar_end),
        {% endif -%}
        {{ bucket_end(minutes) | indent }}
{%- endmacro %}

{# For meta.continuous: how TimescaleDB stores these bars and keeps them up. #}
{% macro continuous_minutes() -%}
    {{ return({
        'of': 'raw_tdx.kline_minute',
        'unless': 'minute_5m',
        'day_bars': 'raw_tdx.kline_daily',
        'chunk': '3 months',
        'segment_by': 'code',
        'order_by': 'bar_end desc',
        'compress_after': '14 days',
        'refresh_from': '7 days',
        'refresh_to': '0 days',
        'refresh_every': '1 day',
    }) }}
{%- endmacro %}
