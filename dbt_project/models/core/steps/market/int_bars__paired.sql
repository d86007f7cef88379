{{ config(
    materialized='followed',
    unique_key=['code', 'other_code', 'month_start'],
    indexes=[{'columns': ['code', 'other_code', 'month_start'], 'unique': true}],
    meta={
        'entity': none,
        'follows': {'int_bars__hashed': 'day'},
        'by': 'month_start',
        'period': 'month',
    },
) }}

with months as (
    select * from {{ changed(ref('int_bars__hashed'), by='month_start') }}
)

select
    m.code,
    o.code as other_code,
    m.month_start,
    m.bar_count
from months as m
inner join months as o
    on
        m.month_start = o.month_start
        and m.bars_hash = o.bars_hash
        and left(m.code, 2) = left(o.code, 2)
        and m.code <> o.code
