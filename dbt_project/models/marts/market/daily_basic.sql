-- no CTE: see stg_tdx__kline_daily
select
    b.code,
    b.trade_date,
    b.close,
    p.previous_close,
    (b.close - p.previous_close)::numeric(18, 3) as price_change,
    (100 * (b.close - p.previous_close) / nullif(abs(p.previous_close), 0))::numeric(18, 6)
        as change_percent,
    b.volume_shares,
    b.amount_cny,
    (100.0 * b.volume_shares / nullif(c.float_shares, 0))::numeric(24, 6) as turnover_rate_percent,
    c.float_shares,
    c.total_shares,
    (b.close * c.float_shares)::numeric(24, 3) as float_market_value_cny,
    (b.close * c.total_shares)::numeric(24, 3) as total_market_value_cny,
    case
        when c.float_shares > 0 then null
        when c.code is not null then 'no_tradable_shares'
        when
            exists (
                select 1 from {{ ref('share_capital') }} as k
                where k.code = b.code
            )
            then 'before_first_record'
        else 'no_record'
    end as reason,
    b.is_final
from {{ ref('stg_tdx__kline_daily') }} as b
left join {{ ref('share_capital') }} as c
    on b.code = c.code and b.trade_date >= c.valid_from and b.trade_date < c.valid_to
left join {{ ref('adjustment_segments') }} as s
    on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
-- the last close in the terms of the day: what the exchange publishes as the previous close
left join lateral (
    select
        round(
            (
                coalesce(o.backward_a, 1) * k.close
                + coalesce(o.backward_b, 0) - coalesce(s.backward_b, 0)
            )
            / coalesce(s.backward_a, 1),
            coalesce(s.price_decimals, 2)
        )::numeric(18, 3) as previous_close
    from {{ ref('stg_tdx__kline_daily') }} as k
    left join {{ ref('adjustment_segments') }} as o
        on k.code = o.code and k.trade_date >= o.valid_from and k.trade_date < o.valid_to
    where k.code = b.code and k.trade_date < b.trade_date
    order by k.trade_date desc
    limit 1
) as p on true
