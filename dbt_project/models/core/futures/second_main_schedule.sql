{{ config(materialized='followed', unique_key=['variety', 'trading_day']) }}

-- by the close before, of the contracts that are delivered after the main one and traded
with leaders as (
    select distinct on (s.variety, s.trading_day)
        s.variety,
        s.trading_day,
        d.prev_trading_day,
        c.delivery
    from {{ ref('main_schedule') }} as s
    inner join {{ ref('stg_ops__setting') }} as o
        on o.key = 'tq_second_main' and o.value = 'true'
    inner join {{ ref('int_futures_days__neighbours') }} as d on s.trading_day = d.trading_day
    inner join {{ ref('int_contracts__by_delivery') }} as m on s.underlying_contract = m.contract
    inner join {{ ref('int_contracts__by_delivery') }} as c
        on s.variety = c.variety and m.delivery < c.delivery
    inner join {{ ref('stg_tq__contract_daily') }} as b
        on c.contract = b.contract and d.prev_trading_day = b.trading_day
    where b.is_final and b.volume_lots > 0 and b.close_oi > 0
    order by s.variety asc, s.trading_day asc, b.close_oi desc, c.delivery asc
),

named as (
    {{ contracts_of_leaders('leaders') | indent }}
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
