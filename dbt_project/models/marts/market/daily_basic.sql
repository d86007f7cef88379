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
),

-- A code in one row: width_bucket finds the place of a day in the sorted starts, in a tenth of the
-- time that a lookup by the key takes.
segments as (
    select
        code,
        array_agg(valid_from order by valid_from) as starts,
        array_agg(backward_a order by valid_from) as backward_a,
        array_agg(backward_b order by valid_from) as backward_b,
        min(price_decimals) as price_decimals
    from {{ changed(ref('adjustment_segments'), by='code') }}
    group by code
),

capital as (
    select
        code,
        array_agg(valid_from order by valid_from) as starts,
        array_agg(float_shares order by valid_from) as float_shares,
        array_agg(total_shares order by valid_from) as total_shares
    from {{ changed(ref('share_capital'), by='code') }}
    group by code
),

-- After a suspension the last bar is older; a bar on a day without trading sets no price. The
-- subquery runs for the few bars that need it alone.
with_last_date as (
    select
        b.*,
        case
            when
                (
                    d.trade_date is not null
                    and b.bar_date_before is not distinct from d.previous_trade_date
                )
                then b.bar_date_before
            else (
                select k.trade_date from {{ ref('stg_tdx__kline_daily') }} as k
                where
                    k.code = b.code
                    and k.trade_date < b.trade_date
                    and {{ is_trading_day('k.trade_date') | indent(20) }}
                order by k.trade_date desc
                limit 1
            )
        end as last_date
    from bars as b
    left join {{ ref('trading_calendar') }} as d on b.trade_date = d.trade_date
    {{ computed_once() }}
),

placed as (
    select
        b.*,
        case
            when b.last_date = b.bar_date_before then b.close_before
            else (
                select k.close from {{ ref('stg_tdx__kline_daily') }} as k
                where k.code = b.code and k.trade_date = b.last_date
            )
        end as last_close,
        s.backward_a,
        s.backward_b,
        s.price_decimals,
        width_bucket(b.trade_date, s.starts) as segment,
        width_bucket(b.last_date, s.starts) as last_segment,
        c.code is not null as has_capital,
        width_bucket(b.trade_date, c.starts) as capital,
        c.float_shares,
        c.total_shares,
        {{ stock_currency('b.code') | indent(8) }} as currency
    from with_last_date as b
    left join segments as s on b.code = s.code
    left join capital as c on b.code = c.code
    {{ computed_once() }}
),

-- over an ex-date the last close in the terms of the day, as the exchange publishes it
priced as (
    select
        *,
        (
            case
                when segment > last_segment
                    then
                        round(
                            (
                                backward_a[last_segment] * last_close + backward_b[last_segment]
                                - backward_b[segment]
                            )
                            / backward_a[segment],
                            price_decimals
                        )
                else last_close
            end
        )::numeric(18, 3) as previous_close,
        (close * float_shares[capital])::numeric(24, 3) as float_market_value,
        (close * total_shares[capital])::numeric(24, 3) as total_market_value
    from placed
    {{ computed_once() }}
)

select
    code,
    trade_date,
    close,
    previous_close,
    (close - previous_close)::numeric(18, 3) as price_change,
    (100 * (close - previous_close) / nullif(abs(previous_close), 0))::numeric(18, 6)
        as change_percent,
    volume_shares,
    case when currency = 'CNY' then amount_cny end as amount_cny,
    (100.0 * volume_shares / nullif(float_shares[capital], 0))::numeric(24, 6)
        as turnover_rate_percent,
    float_shares[capital] as float_shares,
    total_shares[capital] as total_shares,
    case when currency = 'CNY' then float_market_value end as float_market_value_cny,
    case when currency = 'CNY' then total_market_value end as total_market_value_cny,
    case
        when float_shares[capital] > 0 then null
        when capital > 0 then 'no_tradable_shares'
        when has_capital then 'before_first_record'
        else 'no_record'
    end as reason,
    is_final,
    currency,
    amount_cny as amount,
    float_market_value,
    total_market_value
from priced
