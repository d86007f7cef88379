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
),

with_rule as not materialized (
    select
        q.*,
        t.limit_percent,
        t.st_limit_percent,
        t.price_decimals,
        {{ limit_rule('q', 't', 't.is_st') | indent(8) }} as rule
    from quotes as q
    left join {{ ref('int_limits__dated') }} as t
        on q.code = t.code and q.trade_date >= t.valid_from and q.trade_date < t.valid_to
),

with_percent as not materialized (
    select
        r.*,
        {{ rule_percent('r.rule', 'r') | indent(8) }} as rule_percent
    from with_rule as r
),

priced as not materialized (
    select
        *,
        rule_percent is not null and close >= {{ limit_price(
            'up', 'previous_close', 'rule_percent', 'price_decimals'
        ) | indent(8) }} as is_limit_up,
        rule_percent is not null and close <= {{ limit_price(
            'down', 'previous_close', 'rule_percent', 'price_decimals'
        ) | indent(8) }} as is_limit_down
    from with_percent
)

select
    exchange,
    sampled_at,
    trade_date,
    {{ breadth_counts() }},
    count(*) filter (where close is null) as suspended_count
from priced
group by exchange, sampled_at, trade_date
