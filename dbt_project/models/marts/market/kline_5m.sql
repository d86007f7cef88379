{{ config(
    materialized='continuous_aggregate',
    unique_key=['code', 'bar_end'],
    indexes=[{'columns': ['trade_date', 'bar_end']}],
    meta={
        'follows': {'raw_tdx.kline_minute': 'day', 'raw_tdx.kline_period': 'day'},
        'by': 'bar_end',
        'outlives': 'raw_tdx.kline_minute',
        'outlives_with': {'source_minutes': 1},
        'continuous': continuous_minutes(),
    },
) }}

{{ with_landed_five_minutes(
    minute_bars(5, ref('stg_tdx__kline_minute'), 'count(*)', {'source_minutes': '1'})
) }}
