{{ config(
    materialized='followed',
    unique_key=['code', 'month_start'],
    indexes=[
        {'columns': ['code', 'month_start'], 'unique': true},
        {'columns': ['month_start']},
    ],
    meta={
        'follows': {'raw_tdx.kline_daily': 'day'},
        'by': 'month_start',
        'period': 'month',
    },
) }}

-- Without the volume, whose unit is not the same in all sources. Number by number: a record is not
-- hashed by workers in parallel.
with bars as (
    select
        code,
        date_trunc('month', trade_date::timestamp)::date as month_start,
        hashint8extended(open_li, hashint8extended(high_li, hashint8extended(
            low_li, hashint8extended(close_li, hashint8extended(
                amount_li, trade_date - date '1990-01-01'
            ))
        ))) as bar_hash
    from {{ changed(ref('stg_tdx__kline_daily')) }}
)

select
    code,
    month_start,
    count(*)::integer as bar_count,
    bit_xor(bar_hash) as bars_hash
from bars
group by code, month_start
