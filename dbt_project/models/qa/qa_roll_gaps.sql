select
    'roll_gap_unknown' as check_name,
    'warning' as severity,
    variety as subject,
    trading_day as trade_date,
    format(
        'no day before the roll from %s to %s has a close of both: in futures.main_daily prices '
        'adjusted back are null before it, and those adjusted forward from it on',
        prev_contract, underlying_contract
    ) as evidence
from {{ ref('roll_gaps') }}
where price_step is null
