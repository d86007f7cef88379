{{ config(
    materialized='followed',
    unique_key=['exchange', 'trade_date'],
    indexes=[{'columns': ['exchange', 'trade_date'], 'unique': true}],
    meta={'by': 'trade_date'},
) }}

-- under all its codes; the newest one says whether it is listed
with stocks as (
    select
        d.exchange,
        min(least(d.first_trade_date, u.first_date)) as first_trade_date,
        max(d.last_trade_date) as last_trade_date,
        (array_agg(d.is_listed order by d.code = d.current_code desc))[1] as is_listed
    from {{ ref('symbol_dim') }} as d
    left join lateral (
        select min(b.trade_date) as first_date from {{ ref('int_bars__untraded') }} as b
        where b.code = d.code and b.trade_date < d.first_trade_date
    ) as u on true
    where d.instrument_type = 'stock'
    group by d.exchange, d.current_code
),

-- what left the list was listed until its last bar; what was suspended at first before its first
listings as (
    select
        exchange,
        first_trade_date as valid_from,
        1 as added
    from stocks
    union all
    select
        exchange,
        last_trade_date + 1 as valid_from,
        -1 as added
    from stocks
    where not is_listed
),

dated_listings as (
    select
        exchange,
        valid_from,
        sum(added) as added
    from listings
    where valid_from is not null
    group by exchange, valid_from
),

-- a day on which every stock is suspended is one too
counted as (
    select * from {{ ref('int_market__bars_counted') }}
    union all
    select distinct
        left(u.code, 2) as exchange,
        u.trade_date,
        0 as stock_count,
        0 as up_count,
        0 as down_count,
        0 as flat_count,
        0 as limit_up_count,
        0 as limit_down_count
    from {{ ref('int_bars__untraded') }} as u
    where
        {{ is_trading_day('u') | indent(8) }}
        and not exists (
            select 1 from {{ ref('int_market__bars_counted') }} as c
            where c.exchange = left(u.code, 2) and c.trade_date = u.trade_date
        )
),

days as (
    select
        c.*,
        (
            sum(l.added) over (
                partition by coalesce(c.exchange, l.exchange)
                order by coalesce(c.trade_date, l.valid_from)
            )
        )::bigint as listed_count
    from counted as c
    full join dated_listings as l on c.exchange = l.exchange and c.trade_date = l.valid_from
)

-- listed on the day, but without a bar
select
    exchange,
    trade_date,
    stock_count,
    up_count,
    down_count,
    flat_count,
    limit_up_count,
    limit_down_count,
    listed_count - stock_count as suspended_count
from days
where trade_date is not null and (stock_count > 0 or listed_count > 0)
