{{ config(materialized='followed', unique_key=['variety', 'trading_day']) }}

-- the main contract by a close holds on the next trading day
with leaders as (
    select distinct on (c.variety, d.trading_day)
        c.variety,
        d.trading_day,
        c.delivery
    from {{ ref('stg_tq__contract_daily') }} as b
    inner join {{ ref('int_contracts__by_delivery') }} as c on b.contract = c.contract
    inner join {{ ref('int_futures_days__neighbours') }} as d on b.trading_day = d.prev_trading_day
    where b.is_final and b.close_oi > 0
    order by c.variety asc, d.trading_day asc, b.close_oi desc, c.delivery asc
),

-- never back to an earlier delivery than on the days before
forward as (
    select
        variety,
        trading_day,
        max(delivery) over (partition by variety order by trading_day) as delivery
    from leaders
),

named as (
    select
        f.variety,
        f.trading_day,
        c.contract as underlying_contract,
        lag(c.contract) over (partition by f.variety order by f.trading_day) as prev_contract
    from forward as f
    inner join {{ ref('int_contracts__by_delivery') }} as c
        on f.variety = c.variety and f.delivery = c.delivery and c.is_first
)

select
    variety,
    'KQ.m@' || variety as symbol,
    trading_day,
    underlying_contract,
    prev_contract,
    coalesce(prev_contract <> underlying_contract, false) as is_switch
from named
