select
    symbol,
    trade_date,
    count(*) as daily_count,
    count(*) filter (where rollup_strategy = 'close') as close_count,
    count(*) filter (where rollup_strategy like 'slot_%') as slot_before_count,
    count(*) filter (where rollup_strategy = 'last_good') as last_good_count,
    count(*) filter (where expiry > trade_date) as oi_eligible_count,
    count(*) filter (where expiry > trade_date and oi_asof_date is not null) as oi_count,
    count(*) filter (where iv is not null and iv_from_mid is not null) as iv_compared_count,
    count(*) filter (where 'iv_mismatch' = any(data_quality_flag)) as iv_mismatch_count,
    count(*) filter (where parity_gap is not null) as parity_compared_count,
    count(*) filter (where parity_gap > 0) as parity_count,
    count(*) filter (
        where data_quality_flag && array[
            'parity_violation', 'butterfly_violation', 'calendar_violation'
        ]
    ) as arbitrage_count,
    max(underlying_close) as underlying_close
from {{ ref('chain_daily_clean') }}
group by symbol, trade_date
