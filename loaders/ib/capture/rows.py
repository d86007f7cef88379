"""Captures as the rows that land."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from loaders.ib.capture import flags
from loaders.ib.client.error_codes import NO_PRICE, PARTIAL
from loaders.ib.client.values import Quote
from loaders.ib.slots import Session, Slot

INTRADAY, CLOSE, RECAPTURE = "intraday", "close", "recapture"
# fields of a quote that land unchanged
_UNCHANGED = [
    "bid",
    "ask",
    "last",
    "close_prev",
    "bid_size",
    "ask_size",
    "last_size",
    "volume",
    "iv_bid",
    "iv_ask",
    "opt_price_model",
    "pv_dividend",
    "und_price",
    "und_bid",
    "und_ask",
    "und_last",
    "und_quote_at",
    "market_data_type",
    "asof_at",
]


@dataclass(frozen=True)
class Provenance:
    """Columns of every row of a load that say where it comes from."""

    ingest_id: str
    source: str  # IBKR, SANDBOX
    config_hash: str
    code_version: str
    grace: int  # seconds after a slot in which a capture is on time


def make_row(
    quote: Quote,
    point: Slot | Session,
    *,
    provenance: Provenance,
    run_type: str,
    known_flags: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """A quote as a row of a slot or of a session's close; `known_flags` are added to its own."""
    slot = point if isinstance(point, Slot) else None
    at = point.at if isinstance(point, Slot) else point.close_at
    lag = (quote.captured_at - at).total_seconds()
    quote, out_of_range = flags.drop_out_of_range(quote)
    greeks, raised = flags.check_greeks(quote)
    raised |= known_flags | flags.check_prices(quote) | out_of_range
    failure = quote.failure
    kind = failure.error_type if failure else None
    if kind == NO_PRICE:
        raised.add(flags.ERROR)
    elif kind not in (None, PARTIAL):
        raised = {flags.ERROR} | (raised & {flags.STALE_SET, flags.SPENT})
    elif flags.is_delayed(quote):
        raised.add(flags.DELAYED)
    if quote.is_incomplete and kind is None:
        raised.add(flags.INCOMPLETE)
    if run_type != CLOSE and lag > provenance.grace:
        raised.add(flags.LATE)
    raised |= flags.check_underlying(quote)
    return {
        "trade_date": point.trade_date,
        "sample_time": at,
        "conid": quote.contract.conid,
        "symbol": quote.contract.symbol,
        "slot_30m": slot.index if slot else None,
        "slot_label": slot.label if slot else None,
        **{name: getattr(quote, name) for name in _UNCHANGED},
        **greeks,
        "greeks_source": quote.greeks_source if greeks["delta"] is not None else None,
        "requested_data_type": quote.requested_type,
        "captured_at": quote.captured_at,
        "capture_lag_s": Decimal(f"{lag:.3f}"),
        "snapshot_error": flags.ERROR in raised,
        "error_type": failure.error_type if failure else None,
        "error_code": failure.error_code if failure else None,
        "error_message": failure.error_message if failure else None,
        "data_quality_flag": ",".join(sorted(raised)),  # SQL makes an array of it
        "ingest_id": provenance.ingest_id,
        "ingest_run_type": run_type,
        "source": provenance.source,
        "config_hash": provenance.config_hash,
        "code_version": provenance.code_version,
    }


@dataclass
class Tally:
    """Result of a symbol's capture in a slot."""

    planned: int = 0
    captured: int = 0
    errors: int = 0
    delayed: int = 0

    def count(self, row: Mapping[str, Any]) -> None:
        self.captured += not row["snapshot_error"]
        self.errors += bool(row["snapshot_error"])
        is_delayed = row["market_data_type"] in flags.DELAYED_TYPES
        self.delayed += is_delayed and not row["snapshot_error"]

    @property
    def status(self) -> str:
        if not self.captured:
            return "failed"
        return "complete" if self.captured == self.planned else "partial"
