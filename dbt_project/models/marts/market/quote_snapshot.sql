-- no CTE: see stg_tdx__kline_daily
{%- set levels = ['bid1', 'bid2', 'bid3', 'bid4', 'bid5', 'ask1', 'ask2', 'ask3', 'ask4', 'ask5'] %}

select
    code,
    sampled_at,
    trade_date,
    previous_close,
    open,
    high,
    low,
    close,
    volume_shares,
    last_trade_shares,
    amount_cny,
    inside_dish_shares,
    outer_disc_shares,
    {% for level in levels -%}
        {{ level }}_price,
        {{ level }}_volume_shares,
    {% endfor -%}
    (ask1_price - bid1_price)::numeric(18, 3) as spread,
    close is null as is_suspended,
    fetched_at
from {{ ref('stg_tdx__quote') }}
