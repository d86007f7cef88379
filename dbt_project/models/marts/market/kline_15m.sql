{{ config(
    materialized='incremental',
    unique_key=['code', 'bar_end'],
    indexes=[{'columns': ['trade_date']}],
    meta={'follows': {'kline_5m': 'day'}, 'by': 'bar_end'},
) }}

{{ bars_of_minutes(15, ref('kline_5m'), 'sum(bar_count)') }}
