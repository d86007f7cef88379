-- Most codes have each bar that is wanted up to their newest one: these are counted together, by
-- the span of their days. The bars of the others are counted by column.
-- Days are numbered from the start of the window: a code wants those after `before` up to `last`.
with codes as (
    select
        code as item,
        row_number() over (order by code) as no,
        {line} as line,
        first_trade_date,
        case when last_trade_date >= %(recent)s then %(until)s else last_trade_date end
            as last_date
    from {market}.symbol_dim
    where first_trade_date <= %(until)s and last_trade_date >= %(since)s
),
columns as (
    select k.ordinality - 1 as col, k.before, k.last
    from unnest(%(previous)s::int[], %(lasts)s::int[]) with ordinality as k (before, last)
),
stretches as materialized (
    select code as item, width_bucket(last_bar_date, %(moments)s::date[]) as before,
        width_bucket(trade_date - 1, %(moments)s::date[]) as last
    from {market}.suspensions
    where trade_date > %(since)s and last_bar_date < %(until)s
),
suspended as (
    select s.item, k.col, sum(least(k.last, s.last) - greatest(k.before, s.before)) as days
    from stretches as s
    inner join columns as k on s.before < k.last and s.last > k.before
    group by s.item, k.col
),
counted as (
    select code as item, count(*) as days, min(trade_date) as first_date,
        max(trade_date) as newest, every(trade_date = any(%(moments)s::date[])) as are_wanted
    from {market}.kline_daily where trade_date between %(since)s and %(until)s
    group by code
),
spans as (
    select
        c.item, c.no, c.line,
        width_bucket(c.first_trade_date - 1, %(moments)s::date[]) as before,
        width_bucket(c.last_date, %(moments)s::date[]) as last,
        width_bucket(b.newest, %(moments)s::date[]) as newest,
        coalesce(s.days, 0) as suspended,
        b.days as stored,
        b.are_wanted and b.first_date >= c.first_trade_date and b.newest <= c.last_date as is_within
    from codes as c
    left join counted as b on c.item = b.item
    left join (
        select item, sum(days) as days from suspended group by item
    ) as s on c.item = s.item
),
items as materialized (
    select *, coalesce(is_within and stored = newest - before - suspended, false) as is_whole
    from spans
),
stored as (
    select code as item, width_bucket(trade_date, %(starts)s::date[]) - 1 as col,
        count(*) as days
    from {market}.kline_daily
    where
        trade_date between %(since)s and %(until)s
        and code in (select item from items where not is_whole)
    group by 1, 2
),
wanted as (
    select c.item, c.no, c.line, k.col,
        least(k.last, c.last) - greatest(k.before, c.before) - coalesce(s.days, 0) as wanted
    from items as c
    inner join columns as k on c.before < k.last and c.last > k.before
    left join suspended as s on c.item = s.item and k.col = s.col
    where not c.is_whole
),
-- a row without an item counts for its line alone, one without a column for its item alone
cells as (
    select w.*, least(w.wanted, coalesce(b.days, 0)) as there
    from wanted as w left join stored as b on w.item = b.item and w.col = b.col
    where w.wanted > 0
    union all
    select item, no, line, null, stored, stored from items where is_whole
    union all
    select null, null, c.line, k.col, d.days, d.days
    from (
        select line, before, newest, count(*) as codes
        from items where is_whole group by line, before, newest
    ) as c
    inner join columns as k on c.before < k.last and c.newest > k.before
    cross join lateral (
        select c.codes * (least(k.last, c.newest) - greatest(k.before, c.before)) as days
    ) as d
    union all
    select null, null, c.line, s.col, -s.days, -s.days
    from items as c inner join suspended as s on c.item = s.item where c.is_whole
    union all
    select c.item, c.no, c.line, k.col,
        least(k.last, c.last) - greatest(k.before, c.newest), 0
    from items as c inner join columns as k on c.newest < k.last and c.last > k.before
    where c.is_whole
)
