{{ config(
    materialized='followed',
    unique_key=['code', 'week_start'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {'kline_daily_qfq': 'day', 'int_market_day__next': 'from_day'},
        'by': 'week_start',
        'period': 'week',
    },
) }}

{{ adjusted_period_bars('week') }}
