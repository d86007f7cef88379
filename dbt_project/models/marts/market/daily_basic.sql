{{ config(
    materialized='incremental',
    unique_key=['code', 'trade_date'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {
            'raw_tdx.kline_daily': 'next_bar',
            'trading_calendar': 'next_bar',
            'adjustment_segments': 'code',
            'share_capital': 'code',
        },
        'by': 'trade_date',
    },
) }}

-- The bar before, among those read: of a whole history nearly always the last close, of single days
-- never.
with bars as (
    select
        *,
        lag(trade_date) over code_bars as bar_date_before,
        lag(close) over code_bars as close_before
    from {{ changed(ref('stg_tdx__kline_daily')) }}
    window code_bars as (partition by code order by trade_date)
)

select
    b.code,
    b.trade_date,
    b.close,
    t.previous_close,
    (b.close - t.previous_close)::numeric(18, 3) as price_change,
    (100 * (b.close - t.previous_close) / nullif(abs(t.previous_close), 0))::numeric(18, 6)
        as change_percent,
    b.volume_shares,
    case when m.currency = 'CNY' then b.amount_cny end as amount_cny,
    (100.0 * b.volume_shares / nullif(c.float_shares, 0))::numeric(24, 6) as turnover_rate_percent,
    c.float_shares,
    c.total_shares,
    case when m.currency = 'CNY' then v.float_market_value end as float_market_value_cny,
    case when m.currency = 'CNY' then v.total_market_value end as total_market_value_cny,
    case
        when c.float_shares > 0 then null
        when c.code is not null then 'no_tradable_shares'
        when exists (
            select 1 from {{ ref('share_capital') }} as k
            where k.code = b.code
        ) then 'before_first_record'
        else 'no_record'
    end as reason,
    b.is_final,
    m.currency,
    b.amount_cny as amount,
    v.float_market_value,
    v.total_market_value
from bars as b
left join {{ ref('trading_calendar') }} as d on b.trade_date = d.trade_date
left join lateral (
    values (
        d.trade_date is not null
        and b.bar_date_before is not distinct from d.previous_trade_date
    )
) as n (has_neighbour) on true
-- after a suspension the last bar is older; a bar on a day without trading sets no price
left join lateral (
    select
        k.trade_date,
        k.close
    from {{ ref('stg_tdx__kline_daily') }} as k
    where
        not n.has_neighbour
        and k.code = b.code
        and k.trade_date < b.trade_date
        and {{ is_trading_day('k.trade_date') | indent(8) }}
    order by k.trade_date desc
    limit 1
) as p on true
left join lateral (
    values
    (
        case when n.has_neighbour then b.bar_date_before else p.trade_date end,
        case when n.has_neighbour then b.close_before else p.close end
    )
) as l (trade_date, close) on true
-- the segment of the day where it began after the last close
left join lateral (
    select s.* from {{ ref('adjustment_segments') }} as s
    where s.code = b.code and s.valid_from > l.trade_date and s.valid_from <= b.trade_date
    order by s.valid_from desc
    limit 1
) as s on true
-- over an ex-date the last close in the terms of the day, as the exchange publishes it
left join lateral (
    values
    (
        (
            case
                when s.code is null then l.close
                else (
                    select
                        round(
                            (o.backward_a * l.close + o.backward_b - s.backward_b) / s.backward_a,
                            s.price_decimals
                        )
                    from ({{ segment_on('b.code', 'l.trade_date') | indent(20) }}) as o
                )
            end
        )::numeric(18, 3)
    )
) as t (previous_close) on true
left join lateral (
    select a.* from {{ ref('share_capital') }} as a
    where a.code = b.code and a.valid_from <= b.trade_date
    order by a.valid_from desc
    limit 1
) as c on true
left join lateral (values ({{ stock_currency('b.code') }})) as m (currency) on true
left join lateral (
    values
    (
        (b.close * c.float_shares)::numeric(24, 3),
        (b.close * c.total_shares)::numeric(24, 3)
    )
) as v (float_market_value, total_market_value) on true
