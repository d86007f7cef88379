-- A gap inside one answer or file says that nobody traded a code, unless most codes have it: then
-- the days were not downloaded. Suspensions of half a market (July 2015) begin and end on days of
-- their own; a download leaves out the same days of each code. Until 1995 Shenzhen was shut on days
-- of the calendar, which is Shanghai's, such as 1995-02-06 to 02-10.
with served_days as (
    select trade_date
    from {{ ref('trading_calendar') }}
    where is_served
),

answer_gaps as (
    select
        code,
        left(code, 2) as exchange,
        last_bar_date,
        trade_date
    from {{ ref('stg_tdx__answer_gap') }}
),

histories as (
    select
        exchange,
        first_trade_date as first_date,
        last_trade_date as last_date
    from {{ ref('symbol_dim') }}
    where first_trade_date is not null
),

exchanges as (
    select distinct exchange from histories
),

-- by how many codes the two counts change on a day
steps as (
    select
        exchange,
        last_bar_date + 1 as day,
        1 as lacking,
        0 as listed
    from answer_gaps
    union all
    select
        exchange,
        trade_date as day,
        -1 as lacking,
        0 as listed
    from answer_gaps
    union all
    select
        exchange,
        first_date as day,
        0 as lacking,
        1 as listed
    from histories
    union all
    select
        exchange,
        last_date + 1 as day,
        0 as lacking,
        -1 as listed
    from histories
    union all
    select
        x.exchange,
        d.trade_date as day,
        0 as lacking,
        0 as listed
    from served_days as d
    cross join exchanges as x
),

counts as (
    select
        exchange,
        day as trade_date,
        (sum(sum(lacking)) over (partition by exchange order by day))::integer as lacking_count,
        (sum(sum(listed)) over (partition by exchange order by day))::integer as listed_count
    from steps
    group by 1, 2
),

-- what most codes lack if no later answer had a bar in any gap: few days, if any
possible_days as (
    select
        c.exchange,
        c.trade_date,
        c.listed_count,
        greatest(3, least(20, c.listed_count)) as fewest
    from counts as c
    inner join served_days as d on c.trade_date = d.trade_date
    where
        c.lacking_count >= greatest(3, least(20, c.listed_count))
        and c.lacking_count * 2 > c.listed_count
        and (c.exchange <> 'sz' or c.trade_date >= date '1996-01-01')
),

possible_gaps as materialized (
    select g.*
    from answer_gaps as g
    where
        exists (
            select 1 from possible_days as p
            where
                p.exchange = g.exchange
                and p.trade_date > g.last_bar_date
                and p.trade_date < g.trade_date
        )
),

gaps as (
    select g.*
    from possible_gaps as g
    where
        not exists (
            select 1 from {{ ref('stg_tdx__kline_daily') }} as b
            where b.code = g.code and b.trade_date > g.last_bar_date and b.trade_date < g.trade_date
        )
),

shared_gaps as (
    select
        exchange,
        last_bar_date,
        trade_date,
        count(*) as code_count
    from gaps
    group by 1, 2, 3
),

-- codes do not share the gap of one code
lacking_days as (
    select
        p.exchange,
        p.trade_date,
        p.listed_count,
        p.fewest,
        sum(g.code_count)::integer as lacking_count,
        max(g.code_count) filter (where g.code_count >= 2) as shared_count
    from possible_days as p
    inner join shared_gaps as g
        on
            p.exchange = g.exchange
            and p.trade_date > g.last_bar_date
            and p.trade_date < g.trade_date
    group by 1, 2, 3, 4
)

select
    exchange,
    trade_date,
    lacking_count,
    listed_count
from lacking_days
where
    lacking_count >= fewest
    and lacking_count * 2 > listed_count
    and (
        (lacking_count >= 20 and lacking_count * 4 >= listed_count * 3)
        or shared_count * 2 > listed_count
    )
