{{ config(
    materialized='followed',
    unique_key=['code', 'month_start'],
    meta={
        'follows': {'raw_tdx.index_kline': 'day', 'int_market_day__next': 'from_day'},
        'by': 'month_start',
        'period': 'month',
    },
) }}

{{ index_period_bars('month') }}
