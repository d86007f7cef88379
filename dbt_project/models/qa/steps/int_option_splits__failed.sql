-- A captured close is in the shares of its day, the source's bar of it in those of the newest load
-- that had it, which reads a year: their ratio is the splits until then. A close is a few cents
-- off the bar's; one captured early or after hours may be far off, but not by the same ratio on
-- two days in a row.
with compared as (
    select
        c.symbol,
        c.trade_date,
        c.underlying_close / nullif(b.und_close, 0) as ratio,
        b.adjusted_as_of
    from {{ ref('int_option_days__counted') }} as c
    inner join {{ ref('stg_ib__underlying_daily') }} as b
        on c.symbol = b.symbol and c.trade_date = b.trade_date
    where
        c.underlying_close is not null
        -- an index has neither volume nor splits
        and b.volume_shares > 0
        and {{ is_in_universe('c.symbol') }}
),

expected as (
    select
        c.symbol,
        c.trade_date,
        c.ratio,
        c.adjusted_as_of,
        coalesce({{ inner_schema() }}.nprod(a.ratio_num / a.ratio_den), 1) as known_ratio
    from compared as c
    left join {{ ref('us_corporate_actions') }} as a
        on
            c.symbol = a.symbol
            and a.type in ('split', 'reverse_split', 'stock_dividend')
            and c.trade_date < a.ex_date
            and c.adjusted_as_of >= a.ex_date
    group by c.symbol, c.trade_date, c.ratio, c.adjusted_as_of
),

neighbours as (
    select
        *,
        ratio / nullif(known_ratio, 0) as gap,
        lag(ratio / nullif(known_ratio, 0)) over symbol_days as gap_before,
        lead(ratio / nullif(known_ratio, 0)) over symbol_days as gap_after
    from expected
    window symbol_days as (partition by symbol order by trade_date)
)

-- the newest day of each symbol: the action is of a session after it
select distinct on (symbol)
    'split_mismatch' as check_name,
    'warning' as severity,
    symbol as subject,
    trade_date,
    format(
        'the captured close is %s times the day bar adjusted as of %s, but the recorded actions '
        'make it %s; fix: add or correct the action in seeds/us_corporate_actions.csv',
        trim_scale(round(ratio, 3)), adjusted_as_of, trim_scale(round(known_ratio, 3))
    ) as evidence
from neighbours
where
    abs(gap - 1) > 0.05
    and (
        abs(gap / nullif(gap_before, 0) - 1) < 0.02
        or abs(gap / nullif(gap_after, 0) - 1) < 0.02
    )
order by symbol asc, trade_date desc
