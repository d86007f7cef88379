"""What the client brings back, as plain values."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)


@dataclass(frozen=True)
class Instruments:
    """`sessions`: for each variety (session, idx, start_s, end_s), `session` day or night, seconds since
    00:00 of the date on which the session begins: today's hours, not those of the past. `contracts`:
    rows of the table contract. `seen_at`: the newest quote of each variety's main contract, UTC; None
    where there is none. `left_out`: contracts that are told without a number that each has."""

    sessions: dict[str, list[tuple[str, int, int, int]]]
    contracts: list[dict[str, Any]]
    seen_at: dict[str, datetime | None]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class MainEvents:
    """`events`: (clock in UTC at which it came, contract or None where nothing is listed); the first is
    what held on the first day, stamped its 00:00 exchange time. Trading days from `first_day` to
    `last_day` are covered, both included; None where the window has none."""

    route: str
    first_day: date | None
    last_day: date | None
    events: list[tuple[datetime, str | None]]


@dataclass(frozen=True)
class DayRange:
    """Ticks from `start` up to before `end` (UTC) are those of the trading day."""

    trading_day: date
    start: datetime
    end: datetime


@dataclass(frozen=True)
class TickAnswer:
    """`path` is a Parquet file of the day's ticks in the order of the service: id and datetime_ns (ns
    since 1970 UTC) int64, all other fields of a tick float64, null where there is none; None for a day
    without ticks. The file is the caller's to delete; what is left goes when the harvest is closed.
    `more_days_had_rows`: did the same session have ticks of the contract on another day?"""

    trading_day: date
    path: Path | None
    rows: int
    more_days_had_rows: bool


def instruments(told: dict[str, Any]) -> Instruments:
    contracts = [
        {**row, "expire_date": _day(row["expire_date"]), "price_tick": Decimal(row["price_tick"])}
        for row in told["contracts"]
    ]
    sessions = {v: [tuple(row) for row in rows] for v, rows in told["sessions"].items()}
    seen = {v: None if ns is None else _utc(ns) for v, ns in told["seen_at"].items()}
    return Instruments(sessions, contracts, seen, tuple(told["left_out"]))


def main_events(told: dict[str, Any]) -> MainEvents:
    first_day, last_day = (_day(told[name]) for name in ("first_day", "last_day"))
    events = [(_utc(ns), contract) for ns, contract in told["events"]]
    return MainEvents(told["route"], first_day, last_day, events)


def tick_answer(told: dict[str, Any]) -> TickAnswer:
    path = told["path"] and Path(told["path"])
    trading_day = date.fromisoformat(told["trading_day"])
    return TickAnswer(trading_day, path, told["rows"], told["more_days_had_rows"])


def table_of(path: Path) -> "pa.Table":
    """What a Parquet file holds; the file is deleted."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    path.unlink()
    return table


def daily_table(path: Path) -> "pa.Table":
    """Columns of the table contract_daily, of the floats in a Parquet file; the file is deleted."""
    import pyarrow as pa

    raw = table_of(path)
    price, columns = pa.decimal128(24, 9), {}
    for field in raw.schema:
        column = raw.column(field.name)
        if field.name == "trade_date":
            columns[field.name] = column.cast(pa.timestamp("s")).cast(pa.date32())
        elif field.name in ("open", "high", "low", "close"):
            # by text: the shortest that names the float, not what its binary form is exactly
            texts = [None if v is None else Decimal(repr(v)) for v in column.to_pylist()]
            columns[field.name] = pa.array(texts, price)
        elif field.name in ("volume", "open_oi", "close_oi"):
            columns[field.name] = column.cast(pa.int64())
        else:
            columns[field.name] = column
    return pa.table(columns)


def ns(at: datetime) -> int:
    """Nanoseconds since 1970 UTC, as questions hold an instant."""
    return (at - EPOCH) // US * 1000


def _utc(ns: int) -> datetime:
    return EPOCH + timedelta(microseconds=ns // 1000)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
