-- the clearing corporation adds a digit to the class of an adjusted series (2AAPL); other classes,
-- such as the weekly ones of an index, are standard. The class of BRK B is BRKB
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
    or (
        trading_class ~ '[0-9]'
        and btrim(trading_class, '0123456789') = translate(symbol, ' .', '')
    ) as is_adjusted,
    fetched_at
from {{ source('raw_ib', 'contract') }}
