select
    p.symbol,
    p.trade_date,
    p.conid,
    -- a contract added by a refresh is wanted from then on; one that discovery found late, all day
    case when p.policy = 'midday_refresh' then coalesce(p.first_seen_slot, 0) else 0 end
        as first_slot,
    p.policy,
    c.expiry,
    c.trading_class || ' ' || c.expiry || ' ' || c.strike || ' ' || c.option_right as terms,
    c.first_seen_date
from {{ ref('stg_ib__session_contract') }} as p
left join {{ ref('stg_ib__contract') }} as c on p.conid = c.conid
