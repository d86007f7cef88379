{{ config(
    materialized='incremental',
    unique_key=['code', 'week_start'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {
            'kline_daily_qfq': 'week',
            'int_market_day__next': 'from_week',
        },
        'by': 'week_start',
    },
) }}

{{ adjusted_bars_of_period('week') }}
