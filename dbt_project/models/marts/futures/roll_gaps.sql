with segments as (
    select * from {{ ref('main_segments') }}
),

bars as not materialized (
    select * from {{ ref('stg_tq__contract_daily') }}
),

-- both contracts on the last day before the switch
rolls as (
    select
        s.variety,
        s.symbol,
        s.first_trading_day as trading_day,
        s.segment_id,
        s.prev_contract,
        s.underlying_contract,
        p.last_trading_day as price_day,
        nullif(trim_scale(o.close), 0) as old_close,
        nullif(trim_scale(n.close), 0) as new_close
    from segments as s
    inner join segments as p on s.variety = p.variety and s.segment_id - 1 = p.segment_id
    left join bars as o on s.prev_contract = o.contract and p.last_trading_day = o.trading_day
    left join bars as n on s.underlying_contract = n.contract and p.last_trading_day = n.trading_day
    where s.is_switch
),

-- an unknown price makes every level before it unknown
accumulated as (
    select
        *,
        bool_and(old_close is not null and new_close is not null) over later as is_known,
        sum(new_close - old_close) over later as step_sum,
        {{ inner_schema() }}.nprod(new_close) over later as new_product,
        {{ inner_schema() }}.nprod(old_close) over later as old_product
    from rolls
    window later as (partition by variety order by segment_id desc)
)

-- the zero of 24 places makes PostgreSQL keep as many in the quotient
select
    variety,
    symbol,
    trading_day,
    segment_id,
    prev_contract,
    underlying_contract,
    price_day,
    old_close::numeric(24, 9) as old_close,
    new_close::numeric(24, 9) as new_close,
    (new_close - old_close)::numeric(24, 9) as price_step,
    round((new_close + 0.000000000000000000000000) / old_close, 18) as price_ratio,
    case when is_known then step_sum end::numeric(24, 9) as back_adjust_step,
    case
        when is_known then round((new_product + 0.000000000000000000000000) / old_product, 18)
    end as back_adjust_ratio
from accumulated
