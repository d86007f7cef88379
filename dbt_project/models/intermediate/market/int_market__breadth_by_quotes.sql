-- A condition on trade_date reaches the quotes: one day costs only its own.
with listed as not materialized (
    select
        s.code,
        s.exchange,
        c.trade_day_number
    from {{ ref('int_listings__dated') }} as s
    left join {{ ref('trading_calendar') }} as c on s.list_date = c.trade_date
    where s.instrument_type = 'stock'
),

quotes as not materialized (
    select
        l.exchange,
        q.code,
        q.sampled_at,
        q.trade_date,
        q.close,
        q.previous_close,
        {{ days_since_listing('c.trade_day_number', 'l.trade_day_number') | indent(8) }}
            as days_since_listing
    from {{ ref('stg_tdx__quote') }} as q
    inner join listed as l on q.code = l.code
    left join {{ ref('trading_calendar') }} as c on q.trade_date = c.trade_date
    where
        not {{ has_day_of_new_code(
            'q', ref('stg_tdx__quote'), times=['trade_date', 'sampled_at']
        ) | indent(8) }}
),

with_limit as not materialized (
    select
        q.*,
        (1000 * q.close)::bigint as close_li,
        (1000 * q.previous_close)::bigint as previous_close_li,
        case
            when {{ no_limit_reason('q', 't') | indent(12) }} is null
                then
                    (
                        100 * case when t.is_st then t.st_limit_percent else t.limit_percent end
                    )::integer
        end as basis_points,
        case t.price_decimals when 3 then 1 else 10 end as tick
    from quotes as q
    left join {{ ref('int_limits__dated') }} as t
        on q.code = t.code and q.trade_date >= t.valid_from and q.trade_date < t.valid_to
),

priced as not materialized (
    select
        *,
        close_li >= {{ limit_price(
            'up', 'previous_close_li', 'basis_points', 'tick'
        ) | indent(8) }} as is_limit_up,
        close_li <= {{ limit_price(
            'down', 'previous_close_li', 'basis_points', 'tick'
        ) | indent(8) }} as is_limit_down
    from with_limit
)

select
    exchange,
    sampled_at,
    trade_date,
    {{ breadth_counts() }},
    count(*) filter (where close is null) as suspended_count
from priced
group by exchange, sampled_at, trade_date
