-- a code without a bar for ten trading days is suspended, or no longer loaded: it lacks nothing
with newest_days as materialized (
    select
        m.as_of_date,
        (
            select min(d.trade_date) from (
                select c.trade_date
                from {{ ref('trading_calendar') }} as c
                where c.trade_date < m.as_of_date
                order by c.trade_date desc
                limit 10
            ) as d
        ) as first_date
    from {{ ref('int_market_day__latest') }} as m
),

-- a stock that got another code has newer days under that one
listed as (
    select s.* from {{ ref('symbol_dim') }} as s
    where
        s.is_listed
        and s.instrument_type <> 'index'
        and not exists (
            select 1 from {{ ref('symbol_dim') }} as n
            where n.code = s.current_code and n.code <> s.code
        )
),

codes as (
    select
        n.as_of_date,
        s.code,
        s.last_trade_date < n.as_of_date as lacks_newest_day
    from newest_days as n
    inner join listed as s on n.first_date <= s.last_trade_date
),

-- Few codes that all stop have no newest day to be judged by, but a calendar that goes on. One row
-- per day on which some ended stays the same while they are suspended.
latest_days as (
    select trade_date
    from {{ ref('trading_calendar') }}
    where is_served
    order by trade_date desc
    limit 5
)

-- some codes are suspended on any day
select
    'newest_day' as check_name,
    'warning' as severity,
    'kline_daily' as subject,
    as_of_date as trade_date,
    format(
        '%s of %s codes have no bar for the newest day, such as %s; fix: loaders run tdx '
        '--dataset kline_daily (if a desktop client writes the files, download the day in it '
        'first)',
        count(*) filter (where lacks_newest_day), count(*),
        min(code) filter (where lacks_newest_day)
    ) as evidence
from codes
group by as_of_date
having
    count(*) filter (where lacks_newest_day) > greatest(3, 0.05 * count(*))
union all
select
    'no_recent_bar' as check_name,
    'warning' as severity,
    'kline_daily' as subject,
    last_trade_date as trade_date,
    min(code) || case when count(*) > 1 then ' and ' || count(*) - 1 || ' more' else '' end
    || ': no bars for at least five trading days: suspended, delisted or dropped by the source'
        as evidence
from listed
where last_trade_date < (select min(trade_date) from latest_days)
group by last_trade_date
