-- A captured close is in the shares of its day, the source's bar of it in those of the newest load:
-- a whole number that two days in a row are apart is the split after them.
with compared as (
    select
        c.symbol,
        c.trade_date,
        c.underlying_close / nullif(b.und_close, 0) as ratio,
        b.adjusted_as_of
    from {{ ref('int_option_days__counted') }} as c
    inner join {{ ref('stg_ib__underlying_daily') }} as b
        on c.symbol = b.symbol and c.trade_date = b.trade_date
    -- an index has neither volume nor splits
    where b.is_current and b.volume_shares > 0 and c.underlying_close > 0
),

steps as (
    select
        *,
        lag(ratio) over symbol_days as ratio_before,
        ratio / coalesce(lead(ratio) over symbol_days, 1) as step,
        coalesce(lead(trade_date) over symbol_days, trade_date + 1) as ex_date,
        coalesce(lead(trade_date) over symbol_days, adjusted_as_of) as last_date
    from compared
    window symbol_days as (partition by symbol order by trade_date)
)

select
    symbol,
    ex_date,
    round(step) as ratio
from steps as s
where
    round(step) >= 2
    and abs(step / round(step) - 1) < 0.02
    and abs(ratio / nullif(ratio_before, 0) - 1) < 0.02
    and not exists (
        select 1 from {{ ref('us_corporate_actions') }} as a
        where
            s.symbol = a.symbol
            and s.trade_date < a.ex_date
            and s.last_date >= a.ex_date
    )
