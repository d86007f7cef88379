-- a copied row may be of a day whose ticks have landed since
select
    n.symbol,
    n.underlying_contract,
    n.trading_day,
    n.reason,
    n.attempt_count,
    n.checked_at
from {{ ref('stg_tq__no_data_day') }} as n
where
    n.status = 'no_data'
    and not exists (
        select 1
        from {{ ref('symbol_day_index') }} as i
        where
            i.symbol = n.symbol
            and i.underlying_contract = n.underlying_contract
            and i.trading_day = n.trading_day
            and i.status in ('complete', 'short')
    )
