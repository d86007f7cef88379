select
    symbol,
    trade_date,
    sum(volume_contracts) filter (where option_right = 'P')::bigint as put_volume,
    sum(volume_contracts) filter (where option_right = 'C')::bigint as call_volume,
    round(
        sum(volume_contracts) filter (where option_right = 'P')
        / nullif(sum(volume_contracts) filter (where option_right = 'C'), 0), 4
    ) as volume_ratio,
    sum(open_interest) filter (where option_right = 'P')::bigint as put_open_interest,
    sum(open_interest) filter (where option_right = 'C')::bigint as call_open_interest,
    round(
        sum(open_interest) filter (where option_right = 'P')
        / nullif(sum(open_interest) filter (where option_right = 'C'), 0), 4
    ) as open_interest_ratio,
    count(*)::integer as contract_count,
    count(open_interest)::integer as open_interest_count
from {{ ref('chain_daily_clean') }}
where not is_adjusted
group by symbol, trade_date
