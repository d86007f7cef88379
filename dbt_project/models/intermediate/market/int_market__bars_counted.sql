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

-- the exchange computed before: the planner would expect a group for each code and day, and sort
with bars as (
    select
        left(code, 2) as exchange,
        trade_date,
        previous_close,
        close,
        is_limit_up,
        is_limit_down
    from {{ changed(ref('stock_limits')) }}
    {{ computed_once() }}
)

select
    exchange,
    trade_date,
    {{ breadth_counts() }}
from bars
group by exchange, trade_date
