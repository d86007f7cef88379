"""Flags that a capture shows at once, from the closed list, and values that cannot be right.

Flags that need more than the row (parity, volume against the slot before …) are SQL's.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from loaders.ib.client.quotes import check_price
from loaders.ib.client.values import Quote
from loaders.ib.tables import CHAIN_SNAPSHOT

DELAYED = "delayed_fallback"
LATE = "late_capture"
STALE_SET = "discovery_stale"
GUESSED_CALENDAR = "calendar_fallback"
ERROR = "snapshot_error"
SPENT = "slot_retry_exceeded"
OUT_OF_RANGE = "value_out_of_range"
INCOMPLETE = "incomplete_answer"
DELAYED_TYPES = (3, 4)
MOST_IV = 10.0
TINY = -1e-9  # a gamma or vega of this size is rounding
OLD_UNDERLYING = timedelta(seconds=60)
CAPTURE_FLAGS = (
    DELAYED,
    LATE,
    STALE_SET,
    GUESSED_CALENDAR,
    ERROR,
    SPENT,
    OUT_OF_RANGE,
    INCOMPLETE,
    "missing_greeks",
    "missing_price",
    "crossed_quote",
    "locked_quote",
    "zero_bid",
    "iv_out_of_range",
    "delta_out_of_range",
    "gamma_negative",
    "vega_negative",
    "underlying_stale",
)
_GREEKS = ("delta", "gamma", "vega", "theta")
# the largest numbers that a row may have
_LIMITS = {
    name: most
    for name in CHAIN_SNAPSHOT.schema.names
    if (most := CHAIN_SNAPSHOT.most_of(name)) is not None and hasattr(Quote, name)
}


def drop_out_of_range(quote: Quote) -> tuple[Quote, set[str]]:
    """A quote without numbers that no row can have, and the flag of those.

    One such number must not cost the row; where no price is left, the quote has failed.
    """
    dropped = {
        name
        for name, most in _LIMITS.items()
        if (value := getattr(quote, name)) is not None and abs(value) > most
    }
    if not dropped:
        return quote, set()
    nothing: dict[str, Any] = dict.fromkeys(dropped)
    return check_price(replace(quote, **nothing)), {OUT_OF_RANGE}


def is_delayed(quote: Quote) -> bool:
    """Whether delayed data came, requested or instead of live ones."""
    return quote.market_data_type in DELAYED_TYPES


def check_prices(quote: Quote) -> set[str]:
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


def check_greeks(quote: Quote) -> tuple[Mapping[str, Any], set[str]]:
    """iv and greeks of a quote without impossible values, and the flags of those."""
    values: dict[str, Any] = {"iv": quote.iv} | {name: getattr(quote, name) for name in _GREEKS}
    flags: set[str] = set()
    if values["iv"] is not None and not 0 < values["iv"] <= MOST_IV:
        values["iv"] = None
        flags.add("iv_out_of_range")
    delta = values["delta"]
    wrong_side = delta is not None and (delta < 0 if quote.contract.right == "C" else delta > 0)
    if delta is not None and (abs(delta) > 1 or wrong_side):
        values |= dict.fromkeys(_GREEKS)
        flags.add("delta_out_of_range")
    for name in ("gamma", "vega"):
        if values[name] is not None and values[name] < TINY:
            values[name] = None
            flags.add(f"{name}_negative")
    if values["iv"] is None or values["delta"] is None:
        flags.add("missing_greeks")
    return values, flags


def check_underlying(quote: Quote) -> set[str]:
    """The flag of an underlying's quote that is older than the option's by over a minute."""
    at = quote.und_quote_at
    is_old = at is not None and quote.captured_at - at > OLD_UNDERLYING
    return {"underlying_stale"} if is_old else set()
