-- no CTE: see stg_tdx__kline_daily
{%- set is_too_little = 'amount < 99 * low * volume' %}

select
    code,
    bar_end,
    trade_date,
    source_label,
    {{ prices_in_yuan() }},
    100 * case when {{ decoded_as_hands('volume') }} and {{ is_too_little }} then 0 else volume end
        as volume_shares,
    (amount * 0.001)::numeric(20, 3) as amount_cny,
    case
        when amount is null then 'unchecked'
        when amount between 99 * low * volume and 101 * high * (volume + 1) then 'ok'
        when {{ decoded_as_hands('volume') }} and {{ is_too_little }} then 'repaired'
        else 'unreliable'
    end as volume_flag,
    amount is null as is_price_only,
    is_final,
    fetched_at
from {{ source('raw_tdx', 'kline_minute') }}
