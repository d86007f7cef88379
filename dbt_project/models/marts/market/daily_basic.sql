{{ config(
    materialized='incremental',
    unique_key=['code', 'trade_date'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {
            'raw_tdx.kline_daily': 'bars_after',
            'trading_calendar': 'bars_after',
            'adjustment_segments': 'code',
            'share_capital': 'code',
        },
        'by': 'trade_date',
    },
) }}

with bars as (
    select
        *,
        lag(trade_date) over code_bars as neighbour_date,
        lag(close) over code_bars as neighbour_close
    from {{ changed(ref('stg_tdx__kline_daily')) }}
    window code_bars as (partition by code order by trade_date)
),

-- read by index only: PostgreSQL would copy a table named twice
all_bars as not materialized (
    select * from {{ ref('stg_tdx__kline_daily') }}
),

trading_calendar as not materialized (
    select * from {{ ref('trading_calendar') }}
),

-- changed days lie apart: only a neighbour of the trading day before is the bar before for certain.
-- a bar on a day that is none sets no price
with_last as (
    select
        b.*,
        coalesce(l.trade_date, b.neighbour_date) as last_date,
        coalesce(l.close, b.neighbour_close) as last_close,
        l.trade_date is not null or coalesce(b.neighbour_date = c.previous_trade_date, false)
            as has_last
    from bars as b
    left join trading_calendar as c on b.trade_date = c.trade_date
    left join lateral (
        select
            k.trade_date,
            k.close
        from all_bars as k
        where
            (b.neighbour_date = c.previous_trade_date) is not true
            and k.code = b.code
            and k.trade_date < b.trade_date
            and (
                select d.trade_date from trading_calendar as d where d.trade_date = k.trade_date
            ) is not null
        order by k.trade_date desc
        limit 1
    ) as l on true
),

-- over an ex-date the last close in the terms of the day: what the exchange publishes
with_previous as (
    select
        b.*,
        case
            when not b.has_last then null
            when s.code is null or b.last_date >= s.valid_from then b.last_close
            else (
                select
                    round(
                        (o.backward_a * b.last_close + o.backward_b - s.backward_b) / s.backward_a,
                        s.price_decimals
                    )
                from {{ ref('adjustment_segments') }} as o
                where
                    o.code = b.code and o.valid_from <= b.last_date and o.valid_to > b.last_date
            )
        end::numeric(18, 3) as previous_close
    from with_last as b
    left join {{ ref('adjustment_segments') }} as s
        on b.code = s.code and b.trade_date >= s.valid_from and b.trade_date < s.valid_to
)

select
    b.code,
    b.trade_date,
    b.close,
    b.previous_close,
    (b.close - b.previous_close)::numeric(18, 3) as price_change,
    (100 * (b.close - b.previous_close) / nullif(abs(b.previous_close), 0))::numeric(18, 6)
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
from with_previous as b
left join {{ ref('share_capital') }} as c
    on b.code = c.code and b.trade_date >= c.valid_from and b.trade_date < c.valid_to
