-- a dataset is wanted on every day that a code traded a hand, from the code's first stored day
with stored as materialized ({stored}),
codes as (
    select code, min(trade_date) as first_date, row_number() over (order by code) as no,
        {line} as line
    from stored group by code
),
cells as (
    select c.code as item, c.no, c.line,
        width_bucket(b.trade_date, %(starts)s::date[]) - 1 as col,
        count(*) * {parts} as wanted,
        coalesce(sum(least(s.parts, {parts})) filter (where s.code is not null), 0) as there
    from {market}.kline_daily as b
    inner join codes as c on b.code = c.code and b.trade_date >= c.first_date
    left join stored as s on b.code = s.code and b.trade_date = s.trade_date
    where b.trade_date between %(since)s and %(until)s and b.volume_shares >= 100
    group by 1, 2, 3, 4
)
