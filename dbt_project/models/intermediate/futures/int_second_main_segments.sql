select
    variety,
    symbol,
    segment_id,
    underlying_contract,
    min(trading_day) as first_trading_day,
    (array_agg(prev_contract order by trading_day))[1] as prev_contract,
    bool_or(is_switch) as is_switch
from {{ ref('second_main_schedule') }}
group by variety, symbol, segment_id, underlying_contract
