-- No CTE, and each row looks back by index: a day costs only its own stocks.
select
    l.code,
    l.trade_date,
    n.name,
    n.is_st,
    l.previous_close,
    l.close,
    l.limit_percent,
    (b.low = l.up_limit) as is_one_price,
    r.board_count,
    r.first_limit_up_date,
    l.is_final,
    l.has_refused_action
from {{ ref('stock_limits') }} as l
inner join {{ ref('stg_tdx__kline_daily') }} as b
    on l.code = b.code and l.trade_date = b.trade_date
left join {{ ref('symbol_names') }} as n
    on l.code = n.code and l.trade_date >= n.valid_from and l.trade_date < n.valid_to
inner join lateral (
    select
        count(*)::integer as board_count,
        min(k.trade_date) as first_limit_up_date
    from {{ ref('stock_limits') }} as k
    where
        k.code = l.code
        and k.trade_date <= l.trade_date
        and k.trade_date > coalesce(
            (
                select o.trade_date from {{ ref('stock_limits') }} as o
                where o.code = l.code and o.trade_date < l.trade_date and not o.is_limit_up
                order by o.trade_date desc
                limit 1
            ),
            '-infinity'
        )
) as r on true
where
    l.is_limit_up
    and not {{ has_day_of_new_code('l', ref('stg_tdx__kline_daily')) | indent(4) }}
