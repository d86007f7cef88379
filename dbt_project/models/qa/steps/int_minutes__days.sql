{{ config(
    materialized='followed',
    unique_key=['code', 'trade_date'],
    indexes=[{'columns': ['trade_date']}],
    meta={'follows': {'kline_30m': 'day'}, 'by': 'trade_date'},
) }}

select
    code,
    trade_date,
    count(*)::smallint as half_hours,
    sum(bar_count)::integer as bar_count,
    sum(volume_shares)::bigint as volume_shares,
    bool_and(is_final) as is_final,
    max(source_minutes) as source_minutes
from {{ changed(ref('kline_30m'), by='bar_end') }}
group by code, trade_date
