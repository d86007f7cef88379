-- no CTE: see stg_tdx__kline_daily
{%- set in_units = minute_columns() %}

select
    code,
    bar_end,
    trade_date,
    source_label,
    {{ prices_in_yuan() }},
    {{ in_units['volume_shares'] }}
        as volume_shares,
    {{ volume_unit() }} as volume_unit,
    {{ in_units['amount_cny'] }} as amount_cny,
    case
        when amount is null then 'unchecked'
        when volume_unit = 1
            then case when {{ turnover_fits('volume', 1) }} then 'ok' else 'unreliable' end
        when {{ turnover_fits('volume') }} then 'ok'
        when {{ is_decoded_minute() }} then 'repaired'
        else 'unreliable'
    end as volume_flag,
    {{ in_units['is_price_only'] }} as is_price_only,
    is_final,
    fetched_at,
    route_no
from {{ source('raw_tdx', 'kline_minute') }}
