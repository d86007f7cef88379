-- A condition on trade_date reaches the bars: one day costs only its own bars. A table named twice
-- is read by index only: PostgreSQL would copy it.
with bars as not materialized (
    select * from {{ ref('stg_tdx__kline_daily') }}
),

segments as not materialized (
    select * from {{ ref('adjustment_segments') }}
),

stocks as not materialized (
    select * from {{ ref('symbol_dim') }} where instrument_type = 'stock'
),

-- the previous close, less what events between took out of it
priced as (
    select
        s.exchange,
        b.trade_date,
        b.close,
        p.previous_close,
        s.price_decimals,
        {{ price_limit('b.code', 'b.trade_date', 's.name') }} as price_limit
    from bars as b
    inner join stocks as s on b.code = s.code
    left join lateral (
        select
            round(
                (
                    coalesce(l.backward_a, 1) * k.close + coalesce(l.backward_b, 0)
                    - coalesce(n.backward_b, 0)
                ) / coalesce(n.backward_a, 1),
                s.price_decimals
            ) as previous_close
        from (
            select
                e.code,
                e.trade_date,
                e.close
            from bars as e
            where e.code = b.code and e.trade_date < b.trade_date
            order by e.trade_date desc
            limit 1
        ) as k
        left join segments as l
            on
                k.code = l.code
                and k.trade_date >= l.valid_from
                and k.trade_date < l.valid_to
        left join segments as n
            on
                k.code = n.code
                and b.trade_date >= n.valid_from
                and b.trade_date < n.valid_to
    ) as p on true
),

counted as (
    select
        exchange,
        trade_date,
        {{ breadth_counts() }}
    from priced
    group by exchange, trade_date
)

-- listed on the day, but without a bar; a code that left the list was listed until its last bar
select
    c.*,
    (
        select count(*) from stocks as s
        where
            s.exchange = c.exchange
            and s.first_trade_date <= c.trade_date
            and (s.is_listed or s.last_trade_date >= c.trade_date)
    ) - c.stock_count as suspended_count
from counted as c
