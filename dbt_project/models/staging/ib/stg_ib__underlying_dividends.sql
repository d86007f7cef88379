select
    symbol,
    trade_date,
    past_12_months,
    next_12_months,
    next_ex_date,
    next_amount
from {{ source('raw_ib', 'underlying_dividends') }}
