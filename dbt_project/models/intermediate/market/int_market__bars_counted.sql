{{ config(
    materialized='incremental',
    unique_key=['exchange', 'trade_date'],
    indexes=[{'columns': ['exchange', 'trade_date'], 'unique': true}],
    meta={
        'entity': none,
        'follows': {'stock_limits': 'day'},
        'by': 'trade_date',
    },
) }}

select
    left(code, 2) as exchange,
    trade_date,
    {{ breadth_counts() }}
from {{ changed(ref('stock_limits')) }}
group by 1, 2
