select
    t.contract,
    c.variety,
    t.trading_day,
    t.upper_limit,
    t.lower_limit,
    t.prev_settlement_price,
    s.settlement_price,
    t.prev_close,
    t.prev_close_oi,
    t.margin_cny_per_lot,
    t.fee_cny_per_lot,
    t.price_tick,
    t.volume_multiple,
    t.quoted_at,
    t.fetched_at
from {{ ref('stg_tq__contract_terms') }} as t
inner join {{ ref('stg_tq__contract') }} as c on t.contract = c.contract
left join {{ ref('stg_tq__settlement') }} as s
    on t.contract = s.contract and t.trading_day = s.trading_day
