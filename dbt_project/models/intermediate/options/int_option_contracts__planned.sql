select
    p.symbol,
    p.trade_date,
    p.conid,
    -- a contract added by a refresh is wanted from then on; one that discovery found late, all day
    case when p.policy = 'midday_refresh' then coalesce(p.first_seen_slot, 0) else 0 end
        as first_slot,
    p.policy,
    {{ contract_term('expiry') }} as expiry,
    {{ contract_term('trading_class') }}
    || ' ' || {{ contract_term('expiry') }}
    || ' ' || {{ contract_term('strike') }}
    || ' ' || k.option_right as terms,
    k.first_seen_date
from {{ ref('stg_ib__session_contract') }} as p
left join {{ ref('stg_ib__contract') }} as k on p.conid = k.conid
{{ former_terms_joined('p') }}
