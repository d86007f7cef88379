select
    symbol,
    trade_date,
    past_12_months,
    next_12_months,
    next_ex_date,
    next_amount
from {{ ref('stg_ib__underlying_dividends') }}
