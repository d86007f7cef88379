-- A gap inside one answer or file says that nobody traded a code, unless most codes have it: then
-- the days were not downloaded. Suspensions of half a market (July 2015) begin and end on days of
-- their own; a download leaves out the same days of each code.
with served_days as (
    select trade_date
    from {{ ref('trading_calendar') }}
    where is_served
),

gaps as (
    select
        g.code,
        g.last_bar_date,
        g.trade_date
    from {{ ref('stg_tdx__answer_gap') }} as g
    where
        not exists (
            select 1 from {{ ref('stg_tdx__kline_daily') }} as b
            where b.code = g.code and b.trade_date > g.last_bar_date and b.trade_date < g.trade_date
        )
),

shared_gaps as (
    select
        left(code, 2) as exchange,
        last_bar_date,
        trade_date,
        count(*) as code_count
    from gaps
    group by 1, 2, 3
    having count(*) >= 2
),

histories as (
    select
        s.exchange,
        b.first_date,
        b.last_date
    from {{ ref('stg_tdx__security') }} as s
    cross join
        lateral (
            select
                min(k.trade_date) as first_date,
                max(k.trade_date) as last_date
            from {{ ref('stg_tdx__kline_daily') }} as k
            where k.code = s.code
        ) as b
    where b.first_date is not null
),

exchanges as (
    select distinct exchange from histories
),

-- by how many codes the two counts change on a day
steps as (
    select
        left(code, 2) as exchange,
        last_bar_date + 1 as day,
        1 as lacking,
        0 as listed
    from gaps
    union all
    select
        left(code, 2) as exchange,
        trade_date as day,
        -1 as lacking,
        0 as listed
    from gaps
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
)

select c.*
from counts as c
inner join served_days as d on c.trade_date = d.trade_date
where
    c.lacking_count >= greatest(3, least(20, c.listed_count))
    and c.lacking_count * 2 > c.listed_count
    and (
        (c.lacking_count >= 20 and c.lacking_count * 4 >= c.listed_count * 3)
        or exists (
            select 1 from shared_gaps as g
            where
                g.exchange = c.exchange
                and g.last_bar_date < c.trade_date
                and g.trade_date > c.trade_date
                and g.code_count * 2 > c.listed_count
        )
    )
