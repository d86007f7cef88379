{{ config(
    materialized='followed',
    unique_key=['code', 'week_start'],
    meta={
        'follows': {'raw_tdx.index_kline': 'day', 'int_market_day__next': 'from_day'},
        'by': 'week_start',
        'period': 'week',
    },
) }}

{{ index_period_bars('week') }}
