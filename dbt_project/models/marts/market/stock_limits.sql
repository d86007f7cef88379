-- no CTE: see stg_tdx__kline_daily
select
    code,
    trade_date,
    {{ in_yuan('previous_close_li') }} as previous_close,
    {{ in_yuan('close_li') }} as close,
    {{ in_yuan('up_limit_li') }} as up_limit,
    {{ in_yuan('down_limit_li') }} as down_limit,
    (limit_basis_points * 0.01)::numeric(5, 2) as limit_percent,
    limit_rule,
    (close_li = up_limit_li) is true as is_limit_up,
    (close_li = down_limit_li) is true as is_limit_down,
    touched_up is true as touched_up,
    touched_down is true as touched_down,
    days_since_listing,
    is_final,
    exists(
        select 1 from {{ ref('adjustment_segments') }} as s
        where s.code = f.code and s.has_refused_action
    ) as has_refused_action
from {{ ref('int_daily_figures__computed') }} as f
where limit_rule is not null
