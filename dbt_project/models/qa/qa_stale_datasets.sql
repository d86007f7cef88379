select
    'stale_dataset' as check_name,
    'warning' as severity,
    dataset as subject,
    last_date as trade_date,
    coalesce(lag_trading_days || ' trading days behind ', 'nothing loaded; expected ')
    || expected_date || ': loaders run tdx --dataset ' || dataset as evidence
from {{ ref('freshness') }}
where is_stale
