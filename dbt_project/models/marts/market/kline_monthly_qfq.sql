{{ config(
    materialized='followed',
    unique_key=['code', 'month_start'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {'kline_daily_qfq': 'day', 'int_market_day__next': 'from_day'},
        'by': 'month_start',
        'period': 'month',
    },
) }}

{{ adjusted_period_bars('month') }}
