"""What can be said of a capture at once: flags of the closed list, and values that cannot be.

The flags that need more than the row (parity, volume against the slot before …) are SQL's.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from loaders.ib.client.gateway import Quote

DELAYED = "delayed_fallback"
LATE = "late_capture"
STALE_SET = "discovery_stale"
GUESSED_CALENDAR = "calendar_fallback"
ERROR = "snapshot_error"
SPENT = "slot_retry_exceeded"
SILENT = "no_quote"  # see loaders.ib.capture.silent_contracts
DELAYED_TYPES = (3, 4)
MOST_IV = 10.0
TINY = -1e-9  # a gamma or vega of this size is rounding
OLD_UNDERLYING = timedelta(seconds=60)
CAPTURE_FLAGS = (
    *(DELAYED, LATE, STALE_SET, GUESSED_CALENDAR, ERROR, SPENT, SILENT),
    *("missing_greeks", "missing_price", "crossed_quote", "locked_quote", "zero_bid"),
    *("iv_out_of_range", "delta_out_of_range", "gamma_negative", "vega_negative"),
    "underlying_stale",
)
_GREEKS = ("delta", "gamma", "vega", "theta")


def is_silent(row: Mapping[str, Any]) -> bool:
    """Is it the row of a contract that never ticks?"""
    return bool(row["snapshot_error"]) and SILENT in row["data_quality_flag"].split(",")


def text_of(flags: set[str]) -> str:
    """Flags as the column holds them; SQL makes an array of it."""
    return ",".join(sorted(flags))


def delayed(quote: Quote, wanted: int) -> bool:
    """Was something older served than was wanted?"""
    return wanted not in DELAYED_TYPES and quote.market_data_type in DELAYED_TYPES


def of_prices(quote: Quote) -> set[str]:
    """Flags of bid and ask."""
    bid, ask, flags = quote.bid, quote.ask, set()
    if bid is None or ask is None:
        flags.add("missing_price")
    elif bid > ask:
        flags.add("crossed_quote")
    elif bid == ask:
        flags.add("locked_quote")
    if bid == 0:
        flags.add("zero_bid")
    return flags


def greeks_of(quote: Quote) -> tuple[Mapping[str, Any], set[str]]:
    """iv and greeks of a quote, without those that cannot be, and the flags that say so."""
    found: dict[str, Any] = {"iv": quote.iv} | {name: getattr(quote, name) for name in _GREEKS}
    flags: set[str] = set()
    if found["iv"] is not None and not 0 < found["iv"] <= MOST_IV:
        found["iv"] = None
        flags.add("iv_out_of_range")
    delta = found["delta"]
    wrong_side = delta is not None and (delta < 0 if quote.contract.right == "C" else delta > 0)
    if delta is not None and (abs(delta) > 1 or wrong_side):
        found |= dict.fromkeys(_GREEKS)
        flags.add("delta_out_of_range")
    for name in ("gamma", "vega"):
        if found[name] is not None and found[name] < TINY:
            found[name] = None
            flags.add(f"{name}_negative")
    if found["iv"] is None or found["delta"] is None:
        flags.add("missing_greeks")
    return found, flags


def of_underlying(und_quote_at: datetime | None, captured_at: datetime) -> set[str]:
    """Is the underlying's quote older than the option's by more than a minute?"""
    old = und_quote_at is not None and captured_at - und_quote_at > OLD_UNDERLYING
    return {"underlying_stale"} if old else set()
