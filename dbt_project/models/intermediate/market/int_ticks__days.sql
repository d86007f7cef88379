{{ config(
    materialized='followed',
    unique_key=['code', 'trade_date'],
    indexes=[{'columns': ['trade_date']}],
    meta={
        'follows': {'raw_tdx.tick_trade': 'day'},
        'by': 'trade_date',
        'outlives': 'raw_tdx.tick_trade',
    },
) }}

select
    code,
    trade_date,
    count(*)::integer as tick_count,
    min(traded_at) as first_traded_at,
    max(traded_at) as last_traded_at,
    -- the smallest of these arrays is the first trade's: an ordered aggregate sorts all trades
    (min(array[ordinal, price]))[2] as first_price,
    max(price) as high,
    min(price) as low,
    (max(array[ordinal, price]))[2] as last_price,
    sum(volume_shares)::bigint as volume_shares,
    coalesce(sum(volume_shares) filter (where side = 0), 0)::bigint as buy_shares,
    coalesce(sum(volume_shares) filter (where side = 1), 0)::bigint as sell_shares,
    coalesce(sum(volume_shares) filter (where side not in (0, 1)), 0)::bigint
        as neutral_shares,
    -- no day trades so much: a wrong volume, which the comparison with the day bar shows
    (
        case when abs(sum(price * volume_shares)) < 1e17 then sum(price * volume_shares) end
    )::numeric(20, 3) as amount_cny,
    bool_and(is_final) as is_final
from {{ changed(ref('stg_tdx__tick_trade')) }}
group by code, trade_date
