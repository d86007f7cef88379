-- no CTE: see stg_tdx__kline_daily
{%- set in_cny = stock_currency('code') ~ " = 'CNY'" %}

select
    code,
    trade_date,
    {{ in_yuan('close_li') }} as close,
    {{ in_yuan('previous_close_li') }} as previous_close,
    {{ in_yuan('(close_li - previous_close_li)') }} as price_change,
    (100.0 * (close_li - previous_close_li) / nullif(abs(previous_close_li), 0))::numeric(18, 6)
        as change_percent,
    volume_shares,
    (case when {{ in_cny | indent(4) }} then amount_li * 0.001 end)::numeric(20, 3) as amount_cny,
    (100.0 * volume_shares / nullif(float_shares, 0))::numeric(24, 6) as turnover_rate_percent,
    float_shares,
    total_shares,
    {% for shares in ['float', 'total'] -%}
        (
            case when {{ in_cny | indent(12) }} then close_li * 0.001 * {{ shares }}_shares end
        )::numeric(24, 3) as {{ shares }}_market_value_cny,
    {% endfor -%}
    no_capital_reason as reason,
    is_final,
    {{ stock_currency('code') | indent(4) }} as currency,
    (amount_li * 0.001)::numeric(20, 3) as amount,
    (close_li * 0.001 * float_shares)::numeric(24, 3) as float_market_value,
    (close_li * 0.001 * total_shares)::numeric(24, 3) as total_market_value,
    exists(
        select 1 from {{ ref('adjustment_segments') }} as s
        where s.code = f.code and s.has_refused_action
    ) as has_refused_action
from {{ ref('int_daily_figures__computed') }} as f
