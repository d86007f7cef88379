-- no CTE: see stg_tdx__kline_daily
select
    b.code,
    b.bar_end,
    b.trade_date,
    {{ forward_adjusted() }},
    b.volume_shares,
    b.amount_cny,
    coalesce(s.has_inferred_action, false) as has_inferred_action,
    b.is_price_only,
    b.is_final,
    coalesce(s.has_refused_action, false) as has_refused_action
from {{ ref('stg_tdx__kline_minute') }} as b
left join {{ ref('adjustment_segments') }} as s
    on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
