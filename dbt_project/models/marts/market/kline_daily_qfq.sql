{{ config(
    materialized='incremental',
    unique_key=['code', 'trade_date'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {
            'raw_tdx.kline_daily': 'day',
            'adjustment_segments': 'code',
        },
        'by': 'trade_date',
        'hypertable': {
            'setting': 'timescale_daily',
            'time': 'trade_date',
            'chunk': '1 year',
            'segment_by': 'code',
            'order_by': 'trade_date desc',
            'compress_after': '30 days',
        },
    },
) }}

with bars as (
    select * from {{ changed(ref('stg_tdx__kline_daily')) }}
),

segments as (
    select * from {{ changed(ref('adjustment_segments'), by='code') }}
)

-- a code missing from the service's list has no segment
select
    b.code,
    b.trade_date,
    {{ forward_adjusted() }},
    b.volume_shares,
    b.amount_cny,
    coalesce(s.has_inferred_action, false) as has_inferred_action,
    b.is_final,
    coalesce(s.has_refused_action, false) as has_refused_action
from bars as b
left join segments as s
    on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
