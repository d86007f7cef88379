-- A view: storing it would take as long as the adjusted bars, for few reads. No CTE: see
-- stg_tdx__kline_daily.
select
    b.code,
    b.trade_date,
    b.close,
    t.previous_close,
    (b.close - t.previous_close)::numeric(18, 3) as price_change,
    (100 * (b.close - t.previous_close) / nullif(abs(t.previous_close), 0))::numeric(18, 6)
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
        when exists (
            select 1 from {{ ref('share_capital') }} as k
            where k.code = b.code
        ) then 'before_first_record'
        else 'no_record'
    end as reason,
    b.is_final
from {{ ref('stg_tdx__kline_daily') }} as b
left join {{ ref('trading_calendar') }} as d on b.trade_date = d.trade_date
left join {{ ref('stg_tdx__kline_daily') }} as p
    on b.code = p.code and d.previous_trade_date = p.trade_date
-- after a suspension the last bar is older; a bar on a day without trading sets no price
left join lateral (
    select
        k.trade_date,
        k.close
    from {{ ref('stg_tdx__kline_daily') }} as k
    where
        p.code is null
        and k.code = b.code
        and k.trade_date < b.trade_date
        and (
            select e.trade_date from {{ ref('trading_calendar') }} as e
            where e.trade_date = k.trade_date
        ) is not null
    order by k.trade_date desc
    limit 1
) as l on true
left join {{ ref('adjustment_segments') }} as s
    on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
-- over an ex-date the last close in the terms of the day, as the exchange publishes it
left join lateral (
    values
    (
        (
            case
                when s.code is null or coalesce(p.trade_date, l.trade_date) >= s.valid_from
                    then coalesce(p.close, l.close)
                else (
                    select
                        round(
                            (
                                o.backward_a * coalesce(p.close, l.close)
                                + o.backward_b
                                - s.backward_b
                            ) / s.backward_a,
                            s.price_decimals
                        )
                    from {{ ref('adjustment_segments') }} as o
                    where
                        o.code = b.code
                        and o.valid_from <= coalesce(p.trade_date, l.trade_date)
                        and o.valid_to > coalesce(p.trade_date, l.trade_date)
                )
            end
        )::numeric(18, 3)
    )
) as t (previous_close) on true
left join {{ ref('share_capital') }} as c
    on b.code = c.code and b.trade_date >= c.valid_from and b.trade_date < c.valid_to
