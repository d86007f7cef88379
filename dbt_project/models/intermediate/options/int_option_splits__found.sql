-- A captured close is in the shares of its day, the source's bar of it in those of the newest load
-- that had it: a whole number between two days in a row and the days after them is a split.
with bars as (
    select
        symbol,
        trade_date,
        und_close,
        is_current,
        min(trade_date) filter (where is_current) over (partition by symbol) as first_current
    from {{ ref('stg_ib__underlying_daily') }}
    -- an index has neither volume nor splits
    where volume_shares > 0 and und_close > 0
),

compared as (
    select
        c.symbol,
        c.trade_date,
        c.underlying_close / b.und_close as ratio
    from {{ ref('int_option_days__counted') }} as c
    inner join bars as b on c.symbol = b.symbol and c.trade_date = b.trade_date
    -- a load reads a year: bars before it keep the shares of a year later, one that is missing
    -- among the others is in shares of any day
    where c.underlying_close > 0 and (b.is_current or b.trade_date < b.first_current)
),

steps as (
    select
        symbol,
        trade_date,
        ratio,
        lag(ratio) over symbol_days as ratio_before,
        lead(ratio) over symbol_days as ratio_after,
        -- the newest bar is in the shares of its day
        coalesce(lead(ratio, 2) over symbol_days, 1) as ratio_later,
        lead(trade_date) over symbol_days as ex_date
    from compared
    window symbol_days as (partition by symbol order by trade_date)
)

select
    symbol,
    ex_date,
    round(ratio / ratio_after) as ratio
from steps as s
where
    -- of more than 20 the next whole number is as near as a day's close
    round(ratio / ratio_after) between 2 and 20
    and abs(ratio / ratio_after / round(ratio / ratio_after) - 1) < 0.02
    -- a wrong close or bar is one of a day
    and abs(ratio / ratio_before - 1) < 0.02
    and abs(ratio_after / ratio_later - 1) < 0.02
    -- the file may name the day before or after: one split counts once
    and not exists (
        select 1 from {{ ref('us_corporate_actions') }} as a
        where s.symbol = a.symbol and a.ex_date between s.trade_date - 7 and s.ex_date + 7
    )
