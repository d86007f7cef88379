{{ config(
    materialized='incremental',
    unique_key=['code', 'month_start'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {
            'kline_daily_qfq': 'month',
            'int_market_day__next': 'from_month',
        },
        'by': 'month_start',
    },
) }}

{{ adjusted_bars_of_period('month') }}
