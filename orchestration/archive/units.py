"""Units of option chain columns, written to the files as field metadata."""

_COLUMNS = {
    "USD per share": """
        bid ask mid spread last close_prev strike opt_price_model pv_dividend und_price und_bid
        und_ask und_last underlying_price underlying_close parity_gap mid_first mid_high mid_low
        mid_last close_slot_bid close_slot_ask forward
    """,
    "contracts": "bid_size ask_size last_size volume_contracts open_interest",
    "fraction": "spread_pct moneyness",
    "fraction per year": "iv iv_bid iv_ask iv_from_mid iv_from_bid iv_from_ask",
    "shares per contract": "multiplier",
    "per 1.00 of the underlying": "delta",
    "per 1.00 of the underlying, squared": "gamma",
    "USD per share and point of volatility": "vega",
    "USD per share and calendar day": "theta",
    "calendar days": "dte",
    "half hours since the open": "slot_30m rollup_source_slot",
    "slots": "slots_seen",
    "seconds": "capture_lag_s",
    "HH:MM in New York": "slot_label",
    "day in New York": "trade_date expiry oi_asof_date",
    "UTC": "sample_time rollup_source_time captured_at asof_at und_quote_at fetched_at",
}
UNITS = {column: unit for unit, columns in _COLUMNS.items() for column in columns.split()}
