-- no CTE: see stg_tdx__kline_daily
select
    code,
    period,
    bar_end,
    trade_date,
    {{ prices_in_yuan() }},
    -- the volume of a minute by the service is turnover in units of 100 yuan
    case when period <> 'minute1' then 100 * volume end as volume_shares,
    case
        when period = 'minute1' and amount = 0 then 100 * volume
        else amount * 0.001
    end::numeric(20, 3) as amount_cny,
    -- a route that fills neither, or a file without them, has 0 and 0
    case when up_count <> 0 or down_count <> 0 then up_count end as up_count,
    case when up_count <> 0 or down_count <> 0 then down_count end as down_count,
    is_final,
    fetched_at,
    source_label
from {{ source('raw_tdx', 'index_kline') }}
