select
    contract,
    trade_date as trading_day,
    upper_limit,
    lower_limit,
    pre_settlement as prev_settlement_price,
    pre_close as prev_close,
    pre_open_interest as prev_close_oi,
    margin as margin_cny_per_lot,
    commission as fee_cny_per_lot,
    price_tick,
    volume_multiple,
    quoted_at,
    fetched_at
from {{ source('raw_tq', 'contract_terms') }}
