{{ config(materialized='incremental', unique_key=['variety', 'trading_day']) }}

with contracts as (
    select
        contract,
        variety,
        100 * delivery_year::bigint + delivery_month as delivery
    from {{ ref('stg_tq__contract') }}
),

-- one contract per delivery
deliveries as (
    select
        variety,
        delivery,
        min(contract) as contract
    from contracts
    group by variety, delivery
),

trading_days as (
    select
        trading_day,
        lead(trading_day) over (order by trading_day) as next_trading_day
    from {{ ref('stg_tq__trading_day') }}
),

-- the main contract by a close holds on the next trading day
leaders as (
    select distinct on (c.variety, d.next_trading_day)
        c.variety,
        d.next_trading_day as trading_day,
        c.delivery
    from {{ ref('stg_tq__contract_daily') }} as b
    inner join contracts as c on b.contract = c.contract
    inner join trading_days as d on b.trading_day = d.trading_day
    where b.is_final and b.close_oi > 0 and d.next_trading_day is not null
    order by c.variety asc, d.next_trading_day asc, b.close_oi desc, c.delivery asc
),

-- never back to an earlier delivery
held as (
    select
        variety,
        trading_day,
        max(delivery) over (partition by variety order by trading_day) as delivery
    from leaders
),

named as (
    select
        h.variety,
        h.trading_day,
        c.contract as underlying_contract,
        lag(c.contract) over (partition by h.variety order by h.trading_day) as prev_contract
    from held as h
    inner join deliveries as c on h.variety = c.variety and h.delivery = c.delivery
)

select
    variety,
    'KQ.m@' || variety as symbol,
    trading_day,
    underlying_contract,
    prev_contract,
    coalesce(prev_contract <> underlying_contract, false) as is_switch
from named
