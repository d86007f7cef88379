with attempts as (
    select
        symbol,
        trade_date,
        (array_agg(status order by attempted_at desc))[1] as last_status,
        count(distinct timezone('America/New_York', attempted_at)::date)
        filter (where status = 'failed') as failed_mornings
    from {{ ref('stg_ib__enrichment') }}
    group by symbol, trade_date
),

mornings as (
    select
        symbol,
        trade_date,
        bool_or(status = 'failed' or (status = 'stale' and pass <> 'first'))
        and not bool_or(status = 'complete') as is_in_vain
    from {{ ref('stg_ib__enrichment') }}
    where pass <> 'manual'
    group by symbol, trade_date
),

-- the morning of a session and of the two before it
in_a_row as (
    select
        symbol,
        trade_date,
        bool_and(is_in_vain) over three and count(*) over three = 3 as is_third_in_vain
    from mornings
    window three as (
        partition by symbol order by trade_date rows between 2 preceding and current row
    )
)

select
    a.symbol,
    a.trade_date,
    a.last_status,
    a.failed_mornings >= 3 or coalesce(r.is_third_in_vain, false) as is_failed
from attempts as a
left join in_a_row as r on a.symbol = r.symbol and a.trade_date = r.trade_date
