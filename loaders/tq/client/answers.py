"""The answers of the client, as plain values."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loaders.tq.errors import TqAnswerError
from loaders.tq.tables import to_decimal
from loaders.tq.trading_day import to_time
from quotemill.foreign import reading

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Instruments:
    """Contracts and hours of varieties.

    sessions   by variety (session, idx, start_s, end_s): `session` day or night, seconds since
               00:00 of the date on which it starts; today's hours, not those of the past
    contracts  rows of the table contract
    seen_at    the newest quote of each variety's main contract, UTC; None without a quote
    left_out   contracts that lack a number which every contract has
    undescribed  contracts that the servers list and do not describe
    """

    sessions: dict[str, list[tuple[str, int, int, int]]]
    contracts: list[dict[str, Any]]
    seen_at: dict[str, datetime | None]
    left_out: tuple[str, ...] = ()
    undescribed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quote:
    """A contract's quote.

    `quoted_at`: UTC; None without a quote yet. `terms`: columns of the table contract_terms; None
    where the source gives none.
    """

    contract: str
    quoted_at: datetime | None
    terms: dict[str, Decimal | None]


@dataclass(frozen=True)
class Licence:
    """An account's permissions, in the vendor's words; None where its servers do not say."""

    features: tuple[str, ...]
    account_type: str | None
    days_left: int | None
    ends: date | None


@dataclass(frozen=True)
class MainEvents:
    """The main contracts of a variety, by one route.

    `events`: (clock in UTC at which it came, contract or None where nothing is listed); the first
    one held on the first day, and is stamped its 00:00 exchange time. Trading days from `first_day`
    to `last_day` are covered, both included; None where the window has none.
    """

    route: str
    first_day: date | None
    last_day: date | None
    events: list[tuple[datetime, str | None]]


_READING = reading("an answer of the futures client", TqAnswerError)


@_READING
def instruments(answer: dict[str, Any]) -> Instruments:
    contracts = [
        {**row, "expire_date": _day(row["expire_date"]), "price_tick": Decimal(row["price_tick"])}
        for row in answer["contracts"]
    ]
    sessions = {v: [tuple(row) for row in rows] for v, rows in answer["sessions"].items()}
    seen = {v: None if ns is None else to_time(ns) for v, ns in answer["seen_at"].items()}
    lacking = tuple(answer["left_out"]), tuple(answer["undescribed"])
    return Instruments(sessions, contracts, seen, *lacking)


@_READING
def quote(answer: dict[str, Any]) -> Quote:
    given = {n: v for n, v in answer.items() if n not in ("contract", "quoted_at")}
    numbers = {n: None if v is None else to_decimal(float(v)) for n, v in given.items()}
    at = answer["quoted_at"]
    return Quote(answer["contract"], None if at is None else to_time(at), numbers)


@_READING
def days(answer: list[str]) -> list[date]:
    return [date.fromisoformat(day) for day in answer]


@_READING
def moment(ns: int | None) -> datetime | None:
    return None if ns is None else to_time(ns)


@_READING
def settlements(answer: list[tuple[str, str]]) -> dict[date, Decimal]:
    return {date.fromisoformat(day): to_decimal(float(price)) for day, price in answer}


@_READING
def heads(answer: dict[str, tuple[str, int]]) -> dict[str, tuple[str, datetime | None]]:
    """The contract of each variety and its newest stamp, None before the first tick."""
    return {v: (contract, to_time(ns) if ns > 0 else None) for v, (contract, ns) in answer.items()}


@_READING
def licence(answer: dict[str, Any]) -> Licence:
    given = {**answer, "features": tuple(answer["features"]), "ends": _day(answer["ends"])}
    return Licence(**given)


@_READING
def main_events(answer: dict[str, Any]) -> MainEvents:
    first_day, last_day = (_day(answer[name]) for name in ("first_day", "last_day"))
    events = [(to_time(ns), contract) for ns, contract in answer["events"]]
    return MainEvents(answer["route"], first_day, last_day, events)


@_READING
def take_table(path: Path) -> "pa.Table":
    """The rows of a Parquet file, which is deleted."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    path.unlink()
    return table


@_READING
def daily_table(path: Path) -> "pa.Table":
    """Columns of the table contract_daily, from a Parquet file, which is deleted."""
    return _bars(take_table(path))


@_READING
def minute_table(path: Path) -> "pa.Table":
    """Columns of the table contract_minute, from a Parquet file, which is deleted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    raw = take_table(path)
    micros = pc.divide(raw["datetime"], 1000).cast(pa.timestamp("us", "UTC"))
    return _bars(raw.drop_columns(["datetime"])).append_column("start_at", micros)


def _bars(raw: "pa.Table") -> "pa.Table":
    """Raises TqAnswerError for a number that the columns cannot hold."""
    import pyarrow as pa

    price, columns = pa.decimal128(24, 9), {}
    for field in raw.schema:
        column = raw.column(field.name)
        try:
            if field.name == "trade_date":
                columns[field.name] = column.cast(pa.timestamp("s")).cast(pa.date32())
            elif field.name in ("open", "high", "low", "close"):
                prices = [None if v is None else to_decimal(v) for v in column.to_pylist()]
                columns[field.name] = pa.array(prices, price)
            elif field.name in ("volume", "open_oi", "close_oi"):
                columns[field.name] = column.cast(pa.int64())
            else:
                columns[field.name] = column
        except (ArithmeticError, ValueError) as error:
            raise TqAnswerError(
                f"a bar has a value for {field.name} that cannot be stored"
            ) from error
    return pa.table(columns)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
