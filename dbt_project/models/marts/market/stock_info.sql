select
    s.code,
    s.exchange,
    s.name,
    s.instrument_type,
    s.price_decimals,
    s.currency,
    s.is_listed,
    s.first_trade_date,
    s.last_trade_date,
    q.trade_date as quote_date,
    q.previous_close as quote_previous_close,
    q.open as quote_open,
    q.high as quote_high,
    q.low as quote_low,
    q.close as quote_close,
    q.volume_shares as quote_volume_shares,
    q.amount_cny as quote_amount_cny,
    d.trade_date as adjusted_bar_date,
    d.close as adjusted_bar_close,
    d.row_count as adjusted_bar_count,
    m.trade_date as minute_date,
    m.close as minute_close,
    m.volume_shares as minute_volume_shares,
    m.row_count as minute_count,
    greatest(q.fetched_at, d.fetched_at, m.fetched_at) as fetched_at
from {{ ref('symbol_dim') }} as s
left join {{ ref('stg_tdx__stock_info') }} as q on s.code = q.code and q.part = 'quote'
left join {{ ref('stg_tdx__stock_info') }} as d on s.code = d.code and d.part = 'kline_day'
left join {{ ref('stg_tdx__stock_info') }} as m on s.code = m.code and m.part = 'minute'
