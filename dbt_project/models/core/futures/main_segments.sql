select
    variety,
    symbol,
    segment_id,
    underlying_contract,
    min(trading_day) as first_trading_day,
    max(trading_day) as last_trading_day,
    count(*)::integer as trading_day_count,
    (array_agg(prev_contract order by trading_day))[1] as prev_contract,
    bool_or(is_switch) as is_switch,
    schedule_hash,
    source
from {{ ref('main_schedule') }}
group by variety, symbol, segment_id, underlying_contract, schedule_hash, source
