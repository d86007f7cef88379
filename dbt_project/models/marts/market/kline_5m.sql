{{ config(
    materialized='incremental',
    unique_key=['code', 'bar_end'],
    indexes=[{'columns': ['trade_date']}],
    meta={'follows': {'raw_tdx.kline_minute': 'day'}, 'by': 'bar_end'},
) }}

{{ bars_of_minutes(5, ref('stg_tdx__kline_minute'), 'count(*)') }}
