with bars as not materialized (
    select * from {{ ref('stg_tq__contract_daily') }} where close > 0 and volume_lots > 0
),

-- the closes of the last day before the switch on which both contracts traded; their ratio in
-- lowest terms, so that products stay short
rolls as (
    select
        s.variety,
        s.symbol,
        s.segment_id,
        s.prev_contract,
        s.underlying_contract,
        s.first_trading_day,
        s.is_switch as is_roll,
        p.price_day,
        p.old_close,
        p.new_close,
        case when s.is_switch then p.new_close - p.old_close else 0 end as step,
        case when s.is_switch then div(p.new_close, p.divisor) else 1 end as new_part,
        case when s.is_switch then div(p.old_close, p.divisor) else 1 end as old_part
    from {{ ref('main_segments') }} as s
    left join lateral (
        select
            n.trading_day as price_day,
            o.close as old_close,
            n.close as new_close,
            gcd(o.close, n.close) as divisor
        from bars as n
        inner join bars as o on n.trading_day = o.trading_day
        where
            n.contract = s.underlying_contract
            and o.contract = s.prev_contract
            and n.trading_day < s.first_trading_day
        order by n.trading_day desc
        limit 1
    ) as p on s.is_switch
),

-- a sum over no roll at all is zero; a step that is not known makes all beyond it unknown
accumulated as (
    select
        *,
        bool_and(step is not null) over newer as is_back_known,
        sum(step) over newer as back_step,
        {{ inner_schema() }}.nprod(new_part) over newer as back_numerator,
        {{ inner_schema() }}.nprod(old_part) over newer as back_denominator,
        bool_and(step is not null) over older as is_forward_known,
        sum(step) over older as forward_step,
        {{ inner_schema() }}.nprod(old_part) over older as forward_numerator,
        {{ inner_schema() }}.nprod(new_part) over older as forward_denominator
    from rolls
    window
        newer as (
            partition by variety order by segment_id desc
            rows between unbounded preceding and 1 preceding
        ),
        older as (partition by variety order by segment_id)
)

select
    variety,
    symbol,
    segment_id,
    prev_contract,
    underlying_contract,
    first_trading_day,
    is_roll,
    price_day,
    old_close,
    new_close,
    case when is_roll then step end::numeric(24, 9) as roll_step,
    case when is_roll then new_part end as new_part,
    case when is_roll then old_part end as old_part,
    case when coalesce(is_back_known, true) then coalesce(back_step, 0) end::numeric(24, 9)
        as back_diff,
    case when coalesce(is_back_known, true) then coalesce(back_numerator, 1) end as back_numerator,
    coalesce(back_denominator, 1) as back_denominator,
    case when is_forward_known then -forward_step end::numeric(24, 9) as forward_diff,
    case when is_forward_known then forward_numerator end as forward_numerator,
    coalesce(forward_denominator, 1) as forward_denominator
from accumulated
