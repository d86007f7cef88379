-- no CTE: see stg_tdx__kline_daily
select
    r.code,
    r.trade_date,
    r.previous_bar_date,
    r.ret_1d::numeric(38, 10) as ret_1d,
    case when s.has_refused_action is not true then r.dividend_yield_1y end::numeric(38, 10)
        as dividend_yield_1y,
    {% for price in ('high', 'low') -%}
        round(
            (r.{{ price }}_52w_hfq_li * 0.001 - coalesce(s.latest_b, 0)) / coalesce(s.latest_a, 1),
            coalesce(s.price_decimals, 2)
        )::numeric(18, 3) as {{ price }}_52w_qfq,
    {% endfor -%}
    r.is_final,
    coalesce(s.has_refused_action, false) as has_refused_action
from {{ ref('int_daily_returns__computed') }} as r
left join {{ ref('adjustment_segments') }} as s
    on r.code = s.code and r.trade_date >= s.valid_from and r.trade_date < s.valid_to
