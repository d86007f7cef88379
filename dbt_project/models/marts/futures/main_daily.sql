{{ config(materialized='followed', unique_key=['variety', 'trading_day']) }}

-- few, where the days are many
with segments as materialized (
    select * from {{ ref('int_main_segments__adjusted') }}
),

settlements as not materialized (
    select * from {{ ref('stg_tq__settlement') }}
)

select
    s.variety,
    s.symbol,
    s.trading_day,
    s.underlying_contract,
    s.segment_id,
    b.open,
    b.high,
    b.low,
    b.close,
    b.volume_lots,
    b.open_oi,
    b.close_oi,
    b.is_final,
    a.is_roll and s.trading_day = a.first_trading_day as is_roll,
    r.prev_contract as roll_from,
    r.price_day as roll_price_day,
    r.roll_step as roll_gap,
    {{ shown_ratio('r.new_part', 'r.old_part') }} as roll_ratio,
    {{ adjusted_prices() }},
    p.settlement_price,
    q.settlement_price as prev_settlement_price
from {{ ref('main_schedule') }} as s
inner join segments as a on s.variety = a.variety and s.segment_id = a.segment_id
-- the roll itself, on its day only
left join segments as r
    on
        s.variety = r.variety
        and s.segment_id = r.segment_id
        and s.trading_day = r.first_trading_day
        and r.is_roll
left join {{ ref('stg_tq__contract_daily') }} as b
    on s.underlying_contract = b.contract and s.trading_day = b.trading_day
left join settlements as p
    on s.underlying_contract = p.contract and s.trading_day = p.trading_day
left join {{ ref('int_futures_days__neighbours') }} as d on s.trading_day = d.trading_day
-- the contract's own, where another one was the main contract too
left join settlements as q
    on s.underlying_contract = q.contract and d.prev_trading_day = q.trading_day
