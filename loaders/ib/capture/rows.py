"""Captures as the rows that land."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from loaders.ib.capture import flags as quality
from loaders.ib.client.error_codes import NO_PRICE, PARTIAL
from loaders.ib.client.gateway import Quote
from loaders.ib.slots import Session, Slot

INTRADAY, CLOSE, RECAPTURE = "intraday", "close", "recapture"
_AS_THEY_ARE = (
    *("bid", "ask", "last", "close_prev", "bid_size", "ask_size", "last_size", "volume"),
    *("iv_bid", "iv_ask", "opt_price_model", "pv_dividend", "und_price"),
    *("und_bid", "und_ask", "und_last", "und_quote_at", "market_data_type", "asof_at"),
)


@dataclass(frozen=True)
class Run:
    """What all rows of a load say of where they come from."""

    ingest_id: str
    source: str  # IBKR, SANDBOX
    config_hash: str
    code_version: str
    grace: int  # seconds after a slot in which a capture is on time


def row_of(
    quote: Quote,
    slot: Slot | Session,
    run: Run,
    run_type: str,
    *,
    flags: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """A quote as a row of a slot, or of a session's close. `flags` are those known beside the quote."""
    at = slot.at if isinstance(slot, Slot) else slot.close_at
    lag = (quote.captured_at - at).total_seconds()
    greeks, found = quality.greeks_of(quote)
    found |= set(flags) | quality.of_prices(quote)
    kind = quote.failure.error_type if quote.failure else None
    if kind == NO_PRICE:
        found.add(quality.ERROR)
    elif kind not in (None, PARTIAL):
        found = {quality.ERROR, *(found & {quality.STALE_SET, quality.SPENT, quality.SILENT})}
    elif quality.delayed(quote, quote.requested_type):
        found.add(quality.DELAYED)
    if run_type != CLOSE and lag > run.grace:
        found.add(quality.LATE)
    found |= quality.of_underlying(quote.und_quote_at, quote.captured_at)
    return {
        "trade_date": slot.trade_date,
        "sample_time": at,
        "conid": quote.contract.conid,
        "symbol": quote.contract.symbol,
        "slot_30m": slot.index if isinstance(slot, Slot) else None,
        "slot_label": slot.label if isinstance(slot, Slot) else None,
        **{name: getattr(quote, name) for name in _AS_THEY_ARE},
        **greeks,
        "greeks_source": quote.greeks_source if greeks["delta"] is not None else None,
        "requested_data_type": quote.requested_type,
        "captured_at": quote.captured_at,
        "capture_lag_s": Decimal(f"{lag:.3f}"),
        "snapshot_error": quality.ERROR in found,
        **_error(quote),
        "data_quality_flag": quality.text_of(found),
        "ingest_id": run.ingest_id,
        "ingest_run_type": run_type,
        "source": run.source,
        "config_hash": run.config_hash,
        "code_version": run.code_version,
    }


def _error(quote: Quote) -> dict[str, Any]:
    failure = quote.failure
    return {
        "error_type": failure.error_type if failure else None,
        "error_code": failure.error_code if failure else None,
        "error_message": failure.error_message if failure else None,
    }


@dataclass
class Tally:
    """What a symbol's capture in a slot came to. `errors` may still be mended, or ought to be known;
    contracts that never tick are `silent`."""

    planned: int = 0
    captured: int = 0
    errors: int = 0
    silent: int = 0
    delayed: int = 0

    def count(self, row: Mapping[str, Any]) -> None:
        self.captured += not row["snapshot_error"]
        is_silent = quality.is_silent(row)
        self.silent += is_silent
        self.errors += bool(row["snapshot_error"]) and not is_silent
        is_delayed = row["market_data_type"] in quality.DELAYED_TYPES
        self.delayed += is_delayed and not row["snapshot_error"]

    @property
    def status(self) -> str:
        if not self.captured:
            return "failed"
        return "complete" if self.captured + self.silent == self.planned else "partial"


def slot_run_row(
    slot: Slot | Session,
    symbol: str,
    run_type: str,
    tally: Tally,
    *,
    pacing_events: int,
    attempts: int,
    started_at: datetime,
    finished_at: datetime,
) -> dict[str, Any]:
    at = slot.at if isinstance(slot, Slot) else slot.close_at
    return {
        "trade_date": slot.trade_date,
        "sample_time": at,
        "symbol": symbol,
        "ingest_run_type": run_type,
        **vars(tally),
        "pacing_events": pacing_events,
        "attempts": attempts,
        "started_at": started_at,
        "finished_at": finished_at,
        "status": tally.status,
    }
