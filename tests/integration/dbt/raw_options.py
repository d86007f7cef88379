"""Rows of schema raw_ib, as the loader leaves them: quotes of European options at their price."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from statistics import NormalDist
from zoneinfo import ZoneInfo

import psycopg

from tests.integration.dbt.raw import land


@dataclass(frozen=True)
class Session:
    """A trading day; `close` is its hour in New York."""

    ZONE = ZoneInfo("America/New_York")
    day: date
    close: int = 16

    def at(self, slot: int) -> datetime:
        opened = datetime.combine(self.day, time(9, 30), Session.ZONE)
        return opened.astimezone(UTC) + slot * timedelta(minutes=30)

    @property
    def slots(self) -> int:
        return 2 * self.close - 18

    @property
    def row(self) -> dict[str, object]:
        return {
            "trade_date": self.day,
            "open_at": self.at(0),
            "close_at": self.at(self.slots - 1),
            "slots": self.slots,
            "is_early_close": self.close < 16,
        }

    def land_contracts(self, conn: psycopg.Connection, options: "Sequence[Option]") -> None:
        """Land the result of discovery: contracts, and the set of the session."""
        land(conn, "raw_ib.contract", [option.row for option in options])
        rows = [
            {
                "trade_date": self.day,
                "conid": option.conid,
                "symbol": option.symbol,
                "discovered_at": self.at(0) - timedelta(minutes=5),
                "policy": "session_freeze",
            }
            for option in options
        ]
        land(conn, "raw_ib.session_contract", rows)

    def quotes(self, options: "Sequence[Option]", spot: float) -> Iterator[list[dict[str, object]]]:
        """The quotes of a session, slot by slot."""
        for slot in range(self.slots):
            yield [option.quote(self, slot, spot) for option in options]

    def land(
        self,
        conn: psycopg.Connection,
        options: "Sequence[Option]",
        spot: float,
        **after_hours: object,
    ) -> None:
        """Land a session without a fault: contracts, slots, close with `after_hours`."""
        self.land_contracts(conn, options)
        land(
            conn,
            "raw_ib.chain_snapshot",
            [row for rows in self.quotes(options, spot) for row in rows],
        )
        land(
            conn,
            "raw_ib.chain_close",
            [option.closing(self, spot) | after_hours for option in options],
        )


@dataclass(frozen=True)
class Option:
    RATE = 0.04  # what models take if nothing is set
    conid: int
    symbol: str
    expiry: date
    strike: float
    right: str
    trading_class: str | None = None

    @property
    def row(self) -> dict[str, object]:
        return {
            "conid": self.conid,
            "symbol": self.symbol,
            "underlying_conid": 1,
            "trading_class": self.trading_class or self.symbol,
            "expiry": self.expiry,
            "strike": self.strike,
            "option_right": self.right,
            "multiplier": 100,
            "local_symbol": f"{self.symbol:<6}{self.expiry:%y%m%d}{self.right}"
            f"{self.strike * 1000:08.0f}",
            "exchange": "SMART",
            "first_seen_date": date(2026, 11, 2),
        }

    def price(self, spot: float, at: datetime, iv: float) -> float:
        end = datetime.combine(self.expiry, time(16), Session.ZONE)
        years = (end - at).total_seconds() / 86400 / 365
        width, cdf = iv * math.sqrt(years), NormalDist().cdf
        d1 = (math.log(spot / self.strike) + self.RATE * years) / width + width / 2
        paid = self.strike * math.exp(-self.RATE * years)
        sign = 1 if self.right == "C" else -1
        return sign * (spot * cdf(sign * d1) - paid * cdf(sign * (d1 - width)))

    @classmethod
    def chain(
        cls, symbol: str, first: int, expiries: Sequence[date], strikes: Sequence[float]
    ) -> "list[Option]":
        terms = [(e, k, r) for e in expiries for k in strikes for r in "CP"]
        return [cls(first + n, symbol, *of) for n, of in enumerate(terms)]

    def quote(
        self, session: Session, slot: int, spot: float, **changes: object
    ) -> dict[str, object]:
        """A quote of a slot, a cent about its price, with the volatility that it was priced by."""
        at, iv = session.at(slot), 0.25
        price = self.price(spot, at, iv)
        row: dict[str, object] = {
            "trade_date": session.day,
            "sample_time": at,
            "conid": self.conid,
            "symbol": self.symbol,
            "slot_30m": slot,
            "slot_label": f"{at.astimezone(Session.ZONE):%H:%M}",
            "bid": round(price - 0.01, 2),
            "ask": round(price + 0.01, 2),
            "last": None,
            "volume": 10 * slot,
            "iv": iv,
            "delta": 0.5 if self.right == "C" else -0.5,
            "und_price": spot,
            "und_bid": spot - 0.01,
            "und_ask": spot + 0.01,
            "und_last": spot,
            "market_data_type": 1,
            "requested_data_type": 1,
            "greeks_source": "model",
            "captured_at": at + timedelta(seconds=5),
            "asof_at": at + timedelta(seconds=5),
            "capture_lag_s": 5,
            "snapshot_error": False,
            "error_type": None,
            "data_quality_flag": "",
            "ingest_id": f"{session.day} {slot}",
            "ingest_run_type": "intraday",
            "source": "SANDBOX",
            "config_hash": "c",
            "code_version": "1",
        }
        return row | changes

    def closing(self, session: Session, spot: float) -> dict[str, object]:
        """The final quote of a session, captured an hour after it."""
        row = self.quote(
            session, session.slots - 1, spot, capture_lag_s=3605, ingest_run_type="close"
        )
        captured_at = session.at(session.slots - 1) + timedelta(seconds=3605)
        return row | {"slot_30m": None, "slot_label": None, "captured_at": captured_at}

    def open_interest(self, day: date, value: int) -> dict[str, object]:
        return {
            "conid": self.conid,
            "oi_asof_date": day,
            "symbol": self.symbol,
            "trade_date": day,
            "open_interest": value,
            "captured_at": f"{day + timedelta(days=1)} 12:30+00",
            "ingest_id": "oi",
        }


def failed(row: dict[str, object]) -> dict[str, object]:
    """The same request without an answer."""
    values = ("bid", "ask", "iv", "delta", "und_price", "und_bid", "und_ask", "und_last", "volume")
    return (
        row
        | dict.fromkeys(values)
        | {
            "market_data_type": None,
            "greeks_source": None,
            "asof_at": None,
            "snapshot_error": True,
            "error_type": "timeout",
            "data_quality_flag": "snapshot_error",
        }
    )


def land_sessions(conn: psycopg.Connection, sessions: Iterable[Session]) -> None:
    land(conn, "raw_ib.session", [session.row for session in sessions])


def enrichment(day: date, attempted_at: str, which: str, status: str) -> dict[str, object]:
    counts = ("eligible", "filled", "same", "changed", "stale", "failed", "expired")
    return {
        "trade_date": day,
        "symbol": "AAPL",
        "attempted_at": attempted_at,
        "pass": which,
        **dict.fromkeys(counts, 0),
        "status": status,
    }


def closed(symbol: str, session: Session, at: str) -> dict[str, object]:
    """A close view that was complete at a time."""
    is_whole = {"ingest_run_type": "close", "status": "complete", "finished_at": at}
    return slot_run(symbol, session) | is_whole


def slot_run(symbol: str, session: Session) -> dict[str, object]:
    """A first slot for which no contract was known."""
    return {
        "trade_date": session.day,
        "sample_time": session.at(0),
        "symbol": symbol,
        "ingest_run_type": "intraday",
        **dict.fromkeys(("planned", "captured", "errors", "delayed", "pacing_events"), 0),
        "attempts": 0,
        "started_at": session.at(0),
        "finished_at": session.at(0),
        "status": "failed",
    }
