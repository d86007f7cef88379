"""Units of option chain columns, written to the files as field metadata."""

_PRICE, _CONTRACTS, _SHARE = "USD per share", "contracts", "fraction"
_YEAR, _SECONDS, _UTC, _NEW_YORK = "fraction per year", "seconds", "UTC", "day in New York"

UNITS = {
    **dict.fromkeys(
        (
            "bid",
            "ask",
            "mid",
            "spread",
            "last",
            "close_prev",
            "strike",
            "opt_price_model",
            "pv_dividend",
            "und_price",
            "und_bid",
            "und_ask",
            "und_last",
            "underlying_price",
            "underlying_close",
            "parity_gap",
            "mid_first",
            "mid_high",
            "mid_low",
            "mid_last",
            "close_slot_bid",
            "close_slot_ask",
        ),
        _PRICE,
    ),
    **dict.fromkeys(
        ("bid_size", "ask_size", "last_size", "volume_contracts", "open_interest"), _CONTRACTS
    ),
    **dict.fromkeys(("spread_pct", "moneyness"), _SHARE),
    **dict.fromkeys(("iv", "iv_bid", "iv_ask", "iv_from_mid"), _YEAR),
    "multiplier": "shares per contract",
    "delta": "per 1.00 of the underlying",
    "gamma": "per 1.00 of the underlying, squared",
    "vega": "USD per share and point of volatility",
    "theta": "USD per share and calendar day",
    "dte": "calendar days",
    "slot_30m": "half hours since the open",
    "rollup_source_slot": "half hours since the open",
    "slots_seen": "slots",
    "capture_lag_s": _SECONDS,
    "slot_label": "HH:MM in New York",
    **dict.fromkeys(("trade_date", "expiry", "oi_asof_date"), _NEW_YORK),
    **dict.fromkeys(
        (
            "sample_time",
            "rollup_source_time",
            "captured_at",
            "asof_at",
            "und_quote_at",
            "fetched_at",
        ),
        _UTC,
    ),
}
