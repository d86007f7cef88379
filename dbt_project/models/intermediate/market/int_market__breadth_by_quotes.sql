with priced as (
    select
        s.exchange,
        q.sampled_at,
        q.trade_date,
        q.close,
        q.previous_close,
        s.price_decimals,
        {{ price_limit('q.code', 'q.trade_date', 's.name') }} as price_limit
    from {{ ref('stg_tdx__quote') }} as q
    inner join {{ ref('symbol_dim') }} as s on q.code = s.code
    where s.instrument_type = 'stock'
)

select
    exchange,
    sampled_at,
    trade_date,
    {{ breadth_counts() }},
    count(*) filter (where close is null) as suspended_count
from priced
group by exchange, sampled_at, trade_date
