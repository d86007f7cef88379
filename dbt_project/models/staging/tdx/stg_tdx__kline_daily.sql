-- No CTE here, nor in the views that users read through it: PostgreSQL plans a view with one
-- separately, and `order by trade_date desc limit 1` would read the whole history of a code.
{%- set decoded = decoded_volume('volume') -%}
{%- set is_repaired = 'not ' ~ turnover_fits('volume') ~ ' and ' ~ turnover_fits(decoded) %}

select
    code,
    trade_date,
    {{ prices_in_yuan() }},
    -- only the service decodes, and it has hands
    case
        when volume_unit = 1 then volume
        when {{ is_repaired }} then 100 * {{ decoded }}
        else 100 * volume
    end as volume_shares,
    {{ volume_unit() }} as volume_unit,
    (amount * 0.001)::numeric(20, 3) as amount_cny,
    case
        when volume_unit = 1
            then case when {{ turnover_fits('volume', 1) }} then 'ok' else 'unreliable' end
        when {{ turnover_fits('volume') }} then 'ok'
        when {{ turnover_fits(decoded) }} then 'repaired'
        else 'unreliable'
    end as volume_flag,
    is_final,
    fetched_at,
    -- for checks that read every bar: integers compare in a fraction of the time
    open as open_li,
    high as high_li,
    low as low_li,
    close as close_li,
    amount as amount_li
from {{ source('raw_tdx', 'kline_daily') }}
where {{ is_traded() }}
