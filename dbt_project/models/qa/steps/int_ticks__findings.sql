{{ config(
    materialized='followed',
    unique_key=['code', 'trade_date'],
    meta={
        'follows': {'int_ticks__days': 'day', 'raw_tdx.kline_daily': 'day'},
        'by': 'trade_date',
    },
) }}

select
    code,
    trade_date,
    verdict,
    tick_count,
    low,
    high,
    volume_shares,
    day_volume_shares
from {{ changed(ref('tick_daily_summary')) }}
where verdict in ('no_day_bar', 'price_outside_day', 'ticks_missing', 'ticks_too_many')
