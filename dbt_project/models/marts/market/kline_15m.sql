{{ config(
    materialized='continuous_aggregate',
    unique_key=['code', 'bar_end'],
    indexes=[{'columns': ['trade_date', 'bar_end']}],
    meta={
        'follows': {'kline_5m': 'day'},
        'by': 'bar_end',
        'outlives': 'raw_tdx.kline_minute',
        'outlives_with': {'source_minutes': 1},
        'continuous': continuous_minutes(),
    },
) }}

{{ minute_bars(15, ref('kline_5m'), 'sum(bar_count)') }}
