with sums as (
    select
        symbol,
        trade_date,
        sum(volume_contracts) filter (where option_right = 'P') as put_volume,
        sum(volume_contracts) filter (where option_right = 'C') as call_volume,
        sum(open_interest) filter (where option_right = 'P') as put_open_interest,
        sum(open_interest) filter (where option_right = 'C') as call_open_interest,
        count(*)::integer as contract_count,
        count(open_interest)::integer as open_interest_count,
        bool_and(not 'oi_stale' = any(data_quality_flag)) filter (where open_interest is not null)
            as is_open_interest_final
    from {{ ref('chain_daily_clean') }}
    where not is_adjusted
    group by symbol, trade_date
)

select
    symbol,
    trade_date,
    put_volume::bigint as put_volume,
    call_volume::bigint as call_volume,
    round(put_volume / nullif(call_volume, 0), 4)::numeric(24, 4) as volume_ratio,
    put_open_interest::bigint as put_open_interest,
    call_open_interest::bigint as call_open_interest,
    round(put_open_interest / nullif(call_open_interest, 0), 4)::numeric(24, 4)
        as open_interest_ratio,
    contract_count,
    open_interest_count,
    is_open_interest_final
from sums
