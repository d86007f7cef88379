-- days are numbered from the start of the window: a code wants those after `before` up to `last`
with codes as (
    select
        code as item,
        row_number() over (order by code) as no,
        {line} as line,
        width_bucket(first_trade_date - 1, %(moments)s::date[]) as before,
        width_bucket(
            case when last_trade_date >= %(recent)s then %(until)s else last_trade_date end,
            %(moments)s::date[]
        ) as last
    from {market}.symbol_dim
    where first_trade_date <= %(until)s and last_trade_date >= %(since)s
),
columns as (
    select k.ordinality - 1 as col, k.before, k.last
    from unnest(%(previous)s::int[], %(lasts)s::int[]) with ordinality as k (before, last)
),
suspended as (
    select s.item, k.col, sum(least(k.last, s.last) - greatest(k.before, s.before)) as days
    from (
        select code as item, width_bucket(last_bar_date, %(moments)s::date[]) as before,
            width_bucket(trade_date - 1, %(moments)s::date[]) as last
        from {market}.suspensions
        where trade_date > %(since)s and last_bar_date < %(until)s
    ) as s
    inner join columns as k on s.before < k.last and s.last > k.before
    group by s.item, k.col
),
stored as (
    select code as item, width_bucket(trade_date, %(starts)s::date[]) - 1 as col,
        count(*) as days
    from {market}.kline_daily where trade_date between %(since)s and %(until)s
    group by 1, 2
),
wanted as (
    select c.item, c.no, c.line, k.col,
        least(k.last, c.last) - greatest(k.before, c.before) - coalesce(s.days, 0) as wanted
    from codes as c
    inner join columns as k on c.before < k.last and c.last > k.before
    left join suspended as s on c.item = s.item and k.col = s.col
),
cells as (
    select w.*, least(w.wanted, coalesce(b.days, 0)) as there
    from wanted as w left join stored as b on w.item = b.item and w.col = b.col
    where w.wanted > 0
)
