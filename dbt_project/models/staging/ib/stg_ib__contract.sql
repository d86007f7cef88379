-- the clearing corporation adds a digit to the class of an adjusted series (2AAPL); other classes,
-- such as the weekly ones of an index, are standard
select
    conid,
    symbol,
    underlying_conid,
    trading_class,
    expiry,
    strike,
    option_right,
    multiplier,
    local_symbol,
    exchange,
    first_seen_date,
    multiplier <> 100
    or (trading_class <> symbol and btrim(trading_class, '0123456789') = symbol) as is_adjusted,
    fetched_at
from {{ source('raw_ib', 'contract') }}
