-- No CTE: see stg_tdx__kline_daily. The service writes 0 for no price; an auction is no trade yet.
{%- set levels = ['bid1', 'bid2', 'bid3', 'bid4', 'bid5', 'ask1', 'ask2', 'ask3', 'ask4', 'ask5'] %}

select
    code,
    sampled_at,
    trade_date,
    {{ in_yuan(none_if_unset('previous_close', 'above_zero')) }} as previous_close,
    {{ prices_in_yuan(traded='total_hand <> 0 or amount_yuan <> 0') }},
    100 * {{ none_if_unset('total_hand', 'size') }} as volume_shares,
    100 * {{ none_if_unset('current_hand', 'size') }} as last_trade_shares,
    amount_yuan::numeric(20, 3) as amount_cny,
    100 * {{ none_if_unset('inside_dish', 'size') }} as inside_dish_shares,
    100 * {{ none_if_unset('outer_disc', 'size') }} as outer_disc_shares,
    {% for level in levels -%}
        {{ in_yuan(none_if_unset(level ~ '_price', 'above_zero')) }} as {{ level }}_price,
        100 * {{ none_if_unset(level ~ '_volume', 'size') }} as {{ level }}_volume_shares,
    {% endfor -%}
    fetched_at
from {{ source('raw_tdx', 'quote') }}
