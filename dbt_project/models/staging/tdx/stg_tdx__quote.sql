-- No CTE: see stg_tdx__kline_daily. The service writes 0 for no price.
{%- set levels = ['bid1', 'bid2', 'bid3', 'bid4', 'bid5', 'ask1', 'ask2', 'ask3', 'ask4', 'ask5'] %}

select
    code,
    sampled_at,
    trade_date,
    (nullif(previous_close, 0) * 0.001)::numeric(18, 3) as previous_close,
    {{ prices_in_yuan(zero_is_none=true) }},
    100 * total_hand as volume_shares,
    100 * current_hand as last_trade_shares,
    amount_yuan::numeric(20, 3) as amount_cny,
    100 * inside_dish as inside_dish_shares,
    100 * outer_disc as outer_disc_shares,
    {% for level in levels -%}
        (nullif({{ level }}_price, 0) * 0.001)::numeric(18, 3) as {{ level }}_price,
        100 * {{ level }}_volume as {{ level }}_volume_shares,
    {% endfor -%}
    fetched_at
from {{ source('raw_tdx', 'quote') }}
