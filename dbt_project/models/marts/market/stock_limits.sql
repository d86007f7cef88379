{{ config(
    materialized='incremental',
    unique_key=['code', 'trade_date'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {
            'daily_basic': 'day',
            'raw_tdx.kline_daily': 'day',
            'trading_calendar': 'from_day',
            'int_listings__dated': 'code',
            'int_limits__dated': 'code',
        },
        'by': 'trade_date',
    },
) }}

with days as (
    select * from {{ changed(ref('daily_basic')) }}
),

prices as (
    select * from {{ changed(ref('stg_tdx__kline_daily')) }}
),

listed as (
    select
        s.code,
        c.trade_day_number
    from {{ ref('int_listings__dated') }} as s
    left join {{ ref('trading_calendar') }} as c on s.list_date = c.trade_date
    where s.instrument_type = 'stock'
),

bars as (
    select
        d.code,
        d.trade_date,
        d.previous_close,
        d.close,
        b.high,
        b.low,
        d.is_final,
        {{ days_since_listing('c.trade_day_number', 'l.trade_day_number') | indent(8) }}
            as days_since_listing
    from days as d
    inner join listed as l on d.code = l.code
    inner join prices as b on d.code = b.code and d.trade_date = b.trade_date
    left join {{ ref('trading_calendar') }} as c on d.trade_date = c.trade_date
),

-- special treatment that is only inferred ends where a bar lies beyond its limit
with_rule as (
    select
        b.*,
        t.limit_percent,
        t.st_limit_percent,
        t.price_decimals,
        {{ limit_rule('b', 't', 's.is_st') | indent(8) }} as rule
    from bars as b
    left join {{ ref('int_limits__dated') }} as t
        on b.code = t.code and b.trade_date >= t.valid_from and b.trade_date < t.valid_to
    cross join lateral (
        values
        (
            t.is_st and (
                t.basis = 'observed'
                or (
                    b.high <= {{ limit_price(
                        'up', 'b.previous_close', 't.st_limit_percent', 't.price_decimals'
                    ) | indent(20) }}
                    and b.low >= {{ limit_price(
                        'down', 'b.previous_close', 't.st_limit_percent', 't.price_decimals'
                    ) | indent(20) }}
                )
            )
        )
    ) as s (is_st)
),

with_percent as (
    select
        r.*,
        {{ rule_percent('r.rule', 'r') | indent(8) }} as rule_percent
    from with_rule as r
    {{ computed_once() }}
),

with_prices as (
    select
        *,
        {{ limit_price('up', 'previous_close', 'rule_percent', 'price_decimals') | indent(8) }}
            as up_price,
        {{ limit_price('down', 'previous_close', 'rule_percent', 'price_decimals') | indent(8) }}
            as down_price
    from with_percent
    {{ computed_once() }}
),

-- what traded beyond its limits had none
judged as (
    select
        *,
        rule_percent is not null as has_limit,
        coalesce(high > up_price or low < down_price, false) as is_exceeded
    from with_prices
    {{ computed_once() }}
)

select
    code,
    trade_date,
    previous_close,
    close,
    case when has_limit and not is_exceeded then up_price end as up_limit,
    case when has_limit and not is_exceeded then down_price end as down_limit,
    case when not is_exceeded then rule_percent end as limit_percent,
    case when has_limit and is_exceeded then 'exceeded' else rule end as limit_rule,
    has_limit and not is_exceeded and close = up_price as is_limit_up,
    has_limit and not is_exceeded and close = down_price as is_limit_down,
    has_limit and not is_exceeded and high = up_price as touched_up,
    has_limit and not is_exceeded and low = down_price as touched_down,
    days_since_listing,
    is_final
from judged
