-- of the row of a day, and for days without one until the next, at most 40 days later
with announced as (
    select
        symbol,
        trade_date as valid_from,
        least(
            lead(trade_date) over (partition by symbol order by trade_date), trade_date + 40
        ) as valid_to,
        next_ex_date,
        next_amount,
        -- from one ex-date to the next: the amounts of twelve months are alike
        (12 / least(greatest(round(next_12_months / nullif(next_amount, 0)), 1), 12))::integer
            as months
    from {{ ref('stg_ib__underlying_dividends') }}
)

select
    symbol,
    valid_from,
    valid_to,
    array(
        select (next_ex_date + n.number * make_interval(months => months))::date
        from generate_series(0, 36 / months - 1) as n (number)
        order by n.number
    ) as ex_dates,
    next_amount::double precision as amount
from announced
where next_amount > 0 and next_ex_date >= valid_from
