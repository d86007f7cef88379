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
        lag(trading_day) over (order by trading_day) as prev_trading_day
    from {{ ref('stg_tq__trading_day') }}
),

-- by the close before, of the contracts that are delivered after the main one and traded
leaders as (
    select distinct on (s.variety, s.trading_day)
        s.variety,
        s.trading_day,
        d.prev_trading_day,
        c.delivery
    from {{ ref('main_schedule') }} as s
    inner join {{ source('ops', 'settings') }} as o
        on o.key = 'tq_second_main' and o.value = 'true'
    inner join trading_days as d on s.trading_day = d.trading_day
    inner join contracts as m on s.underlying_contract = m.contract
    inner join contracts as c on s.variety = c.variety and m.delivery < c.delivery
    inner join {{ ref('stg_tq__contract_daily') }} as b
        on c.contract = b.contract and d.prev_trading_day = b.trading_day
    where b.is_final and b.volume_lots > 0 and b.close_oi > 0
    order by s.variety asc, s.trading_day asc, b.close_oi desc, c.delivery asc
),

-- never back to an earlier delivery
held as (
    select
        variety,
        trading_day,
        prev_trading_day,
        max(delivery) over (partition by variety order by trading_day) as delivery
    from leaders
),

named as (
    select
        h.variety,
        h.trading_day,
        c.contract as underlying_contract,
        lag(c.contract) over days as prev_contract,
        h.prev_trading_day,
        lag(h.trading_day) over days as day_before
    from held as h
    inner join deliveries as c on h.variety = c.variety and h.delivery = c.delivery
    window days as (partition by h.variety order by h.trading_day)
)

select
    variety,
    'KQ.m2@' || variety as symbol,
    trading_day,
    underlying_contract,
    (
        count(*) filter (
            where underlying_contract is distinct from prev_contract
            or day_before is distinct from prev_trading_day
        ) over (partition by variety order by trading_day)
    )::integer as segment_id,
    prev_contract,
    coalesce(prev_contract <> underlying_contract, false) as is_switch
from named
