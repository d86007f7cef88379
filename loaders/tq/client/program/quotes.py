"""Quotes of contracts: what holds of each on a trading day."""

import math
from datetime import datetime
from typing import Any

from loaders.landing.no_value import is_unset
from loaders.tq.client.program.codes import server_code
from loaders.tq.client.program.session import CST, Session

# margin and commission are in what the client keeps of a quote, and no attribute of it
TERMS = (
    "upper_limit",
    "lower_limit",
    "pre_settlement",
    "pre_close",
    "pre_open_interest",
    "margin",
    "commission",
    "price_tick",
    "volume_multiple",
)
PRICES = ("upper_limit", "lower_limit", "pre_settlement", "pre_close")


def terms(session: Session, contracts: list[str]) -> list[dict[str, Any]]:
    """Stamp and terms of contracts that the servers list; what a quote lacks is None."""
    quotes = session.quotes([server_code(contract) for contract in contracts])
    return [
        {
            "contract": contract,
            "quoted_at": stamp(str(quote.get("datetime") or "")),
            **{name: number(quote.get(name), is_price=name in PRICES) for name in TERMS},
        }
        for contract, quote in zip(contracts, quotes, strict=True)
    ]


def stamp(text: str) -> int | None:
    """The nanoseconds since 1970 of a quote's exchange time; None of one without."""
    if not text:
        return None
    at = datetime.fromisoformat(text).replace(tzinfo=CST)
    return (int(at.timestamp()) * 1_000_000 + at.microsecond) * 1000


def number(value: Any, *, is_price: bool) -> str | None:
    """A number as its shortest text; None of what stands for none."""
    if is_unset(value, is_price=is_price, is_size=not is_price):
        return None
    return str(value) if isinstance(value, int | float) and math.isfinite(value) else None
