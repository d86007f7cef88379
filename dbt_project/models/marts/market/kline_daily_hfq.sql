-- no CTE: see stg_tdx__kline_daily
select
    b.code,
    b.trade_date,
    {{ backward_adjusted() }},
    b.volume_shares,
    b.amount_cny,
    coalesce(s.ratio_factor, 1)::numeric(38, 18) as ratio_factor,
    b.is_final,
    coalesce(s.has_refused_action, false) as has_refused_action
from {{ ref('stg_tdx__kline_daily') }} as b
left join {{ ref('adjustment_segments') }} as s
    on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
