select
    variety,
    symbol,
    min(trading_day) as first_trading_day,
    max(trading_day) as last_trading_day,
    count(*)::integer as trading_day_count,
    (count(*) filter (where coverage in ('complete', 'short', 'to_restamp')))::integer
        as present_count,
    (count(*) filter (where coverage = 'no_data'))::integer as no_data_count,
    (count(*) filter (where coverage in ('missing', 'other_contract')))::integer as missing_count,
    sum(tick_count)::bigint as ticks_total,
    min(trading_day) filter (where book_levels >= 5) as first_l5_day,
    (count(*) filter (where book_levels >= 5))::integer as l5_count,
    (count(*) filter (where coverage = 'short'))::integer as short_count
from {{ ref('tick_coverage') }}
group by variety, symbol
