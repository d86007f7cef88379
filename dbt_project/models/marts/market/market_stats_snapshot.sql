{{ config(materialized='view') }}

-- a condition on trade_date reaches every table, so that one day costs its own rows and no more:
-- nothing is materialized, nor joined in full
with by_quotes as not materialized (
    select * from {{ ref('int_market__breadth_by_quotes') }}
),

by_bars as not materialized (
    select * from {{ ref('int_market__breadth_by_bars') }}
),

service as not materialized (
    select * from {{ ref('stg_tdx__market_stats') }}
),

-- moments at which quotes or the service were asked
samples as not materialized (
    select
        q.exchange,
        q.sampled_at,
        q.trade_date,
        true as has_quotes,
        q.stock_count,
        q.up_count,
        q.down_count,
        q.flat_count,
        q.limit_up_count,
        q.limit_down_count,
        q.suspended_count,
        s.service_stock_count,
        s.service_up_count,
        s.service_down_count,
        s.service_flat_count,
        s.service_instrument_count
    from by_quotes as q
    left join service as s on q.exchange = s.exchange and q.sampled_at = s.sampled_at
    union all
    select
        s.exchange,
        s.sampled_at,
        s.trade_date,
        false as has_quotes,
        null as stock_count,
        null as up_count,
        null as down_count,
        null as flat_count,
        null as limit_up_count,
        null as limit_down_count,
        null as suspended_count,
        s.service_stock_count,
        s.service_up_count,
        s.service_down_count,
        s.service_flat_count,
        s.service_instrument_count
    from service as s
    where
        not exists (
            select from by_quotes as q
            where
                q.exchange = s.exchange
                and q.sampled_at = s.sampled_at
                and q.trade_date = s.trade_date
        )
),

-- the bars of a day stand in from its close on
sampled as (
    select
        s.exchange,
        s.sampled_at,
        s.trade_date,
        case
            when s.has_quotes then 'quotes'
            when b.exchange is not null then 'day_bars'
            else 'service'
        end as basis,
        coalesce(s.stock_count, b.stock_count)::integer as stock_count,
        coalesce(s.up_count, b.up_count)::integer as up_count,
        coalesce(s.down_count, b.down_count)::integer as down_count,
        coalesce(s.flat_count, b.flat_count)::integer as flat_count,
        coalesce(s.limit_up_count, b.limit_up_count)::integer as limit_up_count,
        coalesce(s.limit_down_count, b.limit_down_count)::integer as limit_down_count,
        coalesce(s.suspended_count, b.suspended_count)::integer as suspended_count,
        s.service_stock_count::integer as service_stock_count,
        s.service_up_count::integer as service_up_count,
        s.service_down_count::integer as service_down_count,
        s.service_flat_count::integer as service_flat_count,
        s.service_instrument_count::integer as service_instrument_count
    from samples as s
    left join lateral (
        select d.* from by_bars as d
        where
            not s.has_quotes
            and d.exchange = s.exchange
            and d.trade_date = s.trade_date
            and s.sampled_at >= (s.trade_date + time '15:00') at time zone 'Asia/Shanghai'
        order by d.trade_date
        limit 1
    ) as b on true
),

-- the close of a day that nobody sampled at or after it
unsampled as (
    select
        b.exchange,
        (b.trade_date + time '15:00') at time zone 'Asia/Shanghai' as sampled_at,
        b.trade_date,
        'day_bars' as basis,
        b.stock_count::integer as stock_count,
        b.up_count::integer as up_count,
        b.down_count::integer as down_count,
        b.flat_count::integer as flat_count,
        b.limit_up_count::integer as limit_up_count,
        b.limit_down_count::integer as limit_down_count,
        b.suspended_count::integer as suspended_count,
        null::integer as service_stock_count,
        null::integer as service_up_count,
        null::integer as service_down_count,
        null::integer as service_flat_count,
        null::integer as service_instrument_count
    from by_bars as b
    where
        not exists (
            select from samples as s
            where
                s.exchange = b.exchange
                and s.trade_date = b.trade_date
                and s.sampled_at >= (b.trade_date + time '15:00') at time zone 'Asia/Shanghai'
        )
),

final as (
    select * from sampled
    union all
    select * from unsampled
)

select * from final
