-- No CTE: see stg_tdx__kline_daily. int_ticks__days stores the sums; the day bar is read with them,
-- so a corrected bar needs no rebuild.
select
    t.code,
    t.trade_date,
    t.tick_count,
    t.first_traded_at,
    t.last_traded_at,
    t.first_price::numeric(18, 3) as first_price,
    t.high::numeric(18, 3) as high,
    t.low::numeric(18, 3) as low,
    t.last_price::numeric(18, 3) as last_price,
    (t.amount_cny / nullif(t.volume_shares, 0))::numeric(18, 6) as vwap,
    t.volume_shares,
    t.buy_shares,
    t.sell_shares,
    t.neutral_shares,
    t.amount_cny,
    t.is_final,
    b.volume_shares as day_volume_shares,
    b.volume_shares - t.volume_shares as volume_gap_shares,
    case
        when b.code is null then 'no_day_bar'
        when not (t.is_final and b.is_final) then 'provisional'
        when t.low < b.low or t.high > b.high then 'price_outside_day'
        when b.volume_flag = 'unreliable' then 'day_volume_unreliable'
        when
            -- ticks are in hands: on the STAR market and in Beijing single shares trade, and each
            -- tick can lose up to a hand
            abs(b.volume_shares / 100 * 100 - t.volume_shares)
            <= {{ volume_tolerance('b.volume_shares', 100) }}
            + case
                when t.code like 'sh68%' or t.code like 'bj%' then 100 * t.tick_count
                else 0
            end
            then 'ok'
        when b.volume_shares > t.volume_shares then 'ticks_missing'
        else 'ticks_too_many'
    end as verdict
from {{ ref('int_ticks__days') }} as t
left join {{ ref('stg_tdx__kline_daily') }} as b
    on t.code = b.code and t.trade_date = b.trade_date
