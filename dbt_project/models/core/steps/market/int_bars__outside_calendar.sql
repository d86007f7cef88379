{{ config(
    materialized='followed',
    unique_key=['exchange', 'trade_date'],
    meta={
        'entity': none,
        'follows': {'raw_tdx.kline_daily': 'day', 'raw_tdx.trading_day': 'day'},
        'by': 'trade_date',
    },
) }}

-- the exchange computed before: the planner would expect a group for each code and day, and sort
with bars as (
    select
        left(code, 2) as exchange,
        trade_date
    from {{ changed(ref('stg_tdx__kline_daily')) }}
    where
        (
            trade_date not in (select d.trade_date from {{ ref('stg_tdx__trading_day') }} as d)
        ) is true
    {{ computed_once() }}
)

select
    exchange,
    trade_date,
    count(*)::integer as code_count
from bars
group by exchange, trade_date
