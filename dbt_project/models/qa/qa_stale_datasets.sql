select
    'stale_dataset' as check_name,
    'warning' as severity,
    dataset as subject,
    last_date as trade_date,
    coalesce(lag_trading_days || ' trading days behind ', 'nothing loaded; expected ')
    || expected_date || ': loaders run '
    || case
        when dataset in ('main_events', 'ticks') then 'tq'
        when dataset in ('chain_snapshot', 'chain_close', 'open_interest') then 'ib'
        else 'tdx --dataset ' || dataset
    end as evidence
from {{ ref('freshness') }}
where is_stale
