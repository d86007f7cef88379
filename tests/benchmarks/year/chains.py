"""Steps of option chains: slots of many sessions, landed and built, then a night."""

import itertools
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pandas_market_calendars
import pyarrow as pa

from loaders.ib import tables
from loaders.landing import load_job
from loaders.warehouse.content import content_id
from loaders.warehouse.tables import Batch, LandedTable
from tests.benchmarks.loads import open_warehouse
from tests.benchmarks.year.place import Figure, Year, run, run_tool, seconds_of
from tests.benchmarks.year.shares import day_at
from tests.integration.dbt.raw_options import Session

SYMBOLS = 500
FIRST, EXPIRY = date(2025, 3, 3), date(2025, 9, 19)
TERMS = [
    (EXPIRY + timedelta(28 * n), 90.0 + 5 * k, r) for n in range(5) for k in range(5) for r in "CP"
]
DAYS, SLOTS = 57, 14
ARCHIVED = date(2025, 8, 1)
RATE, VOLATILITY = 0.04, 0.25
ERF = np.vectorize(math.erf, otypes=[float])
FETCHED = datetime(2025, 9, 1, tzinfo=UTC)
LANDED = ("raw_ib.session_contract", "raw_ib.chain_snapshot", "raw_ib.chain_close")
RESULTS = (
    "options.chain_daily_clean",
    "options.forwards",
    "quotemill_intermediate.int_option_days__counted",
    "quotemill_intermediate.int_option_smiles__interpolated",
)
Columns = dict[str, Any]


def list_sessions() -> list[date]:
    """The sessions of the history, of the night, and one more."""
    calendar = pandas_market_calendars.get_calendar("NYSE")
    days = calendar.valid_days(FIRST, FIRST + timedelta(120))
    return [day.date() for day in days][: DAYS + 2]


class Chains:
    """Rows of chains, by the loader's landing path."""

    def __init__(self, year: Year) -> None:
        self._warehouse = open_warehouse(year.home.dsn, year.home.folder)
        content = content_id(self._warehouse)
        self._pipeline, _ = load_job.open_pipeline(self._warehouse, content, "ib_bench", "ib")
        self.symbols = [f"S{n:03}" for n in range(year.count(SYMBOLS))]
        symbols, terms = zip(*itertools.product(self.symbols, TERMS), strict=True)
        self.expiries, self.strikes, self.rights = zip(*terms, strict=True)
        self.own: Columns = {"conid": range(1, len(terms) + 1), "symbol": symbols}
        self.count = len(terms)

    def land_set(self) -> None:
        """Contracts, underlyings and sessions."""
        sessions = [Session(day) for day in list_sessions()]
        listed = zip(self.own["symbol"], self.expiries, self.rights, self.strikes, strict=True)
        names = [f"{s:<6}{e:%y%m%d}{r}{k * 1000:08.0f}" for s, e, r, k in listed]
        terms = {"expiry": self.expiries, "strike": self.strikes, "option_right": self.rights}
        fixed = {"underlying_conid": 0, "multiplier": 100, "exchange": "SMART"}
        classes = {"trading_class": self.own["symbol"], "local_symbol": names}
        seen = {"first_seen_date": FIRST}
        self._land(tables.CONTRACT, self.own | terms | fixed | classes | seen)
        stocks = {"exchange": "SMART", "currency": "USD", "sec_type": "STK"}
        numbers = range(10**6, 10**6 + len(self.symbols))
        self._land(tables.UNDERLYING, {"symbol": self.symbols, "conid": numbers} | stocks)
        rows = [session.row for session in sessions]
        self._land(tables.SESSION, {name: [row[name] for row in rows] for name in rows[0]})

    def land_day(self, day: date) -> None:
        """A session's set, its slots and its close view."""
        frozen = {"trade_date": day, "discovered_at": FETCHED, "policy": "session_freeze"}
        self._land(tables.SESSION_CONTRACT, self.own | frozen)
        self._land(tables.CHAIN_SNAPSHOT, *self._quotes(Session(day)))
        *_, last = self._quotes(Session(day))
        closed = {
            "slot_30m": None,
            "slot_label": None,
            "ingest_run_type": "close",
            "captured_at": Session(day).at(SLOTS + 1),
            "capture_lag_s": 3600,
        }
        self._land(tables.CHAIN_CLOSE, last | closed)

    def _quotes(self, session: Session) -> Iterator[Columns]:
        for slot in range(SLOTS):
            at, spot = session.at(slot), 100 + slot * 0.1
            price, delta = self._price(spot, at)
            yield self.own | {
                "trade_date": session.day,
                "sample_time": at,
                "slot_30m": slot,
                "slot_label": f"{at.astimezone(Session.ZONE):%H:%M}",
                "bid": np.round(price - 0.01, 2),
                "ask": np.round(price + 0.01, 2),
                "delta": delta,
                "volume": 10 * slot,
                "iv": VOLATILITY,
                "und_price": spot,
                "und_bid": spot - 0.01,
                "und_ask": spot + 0.01,
                "und_last": spot,
                "market_data_type": 1,
                "requested_data_type": 1,
                "pv_dividend": 0.0,
                "greeks_source": "model",
                "captured_at": at + timedelta(seconds=5),
                "asof_at": at + timedelta(seconds=5),
                "capture_lag_s": 5,
                "snapshot_error": False,
                "data_quality_flag": "",
                "ingest_id": f"{session.day} {slot}",
                "ingest_run_type": "intraday",
                "source": "SANDBOX",
                "config_hash": "c",
                "code_version": "1",
            }

    def _price(self, spot: float, at: datetime) -> tuple[Any, Any]:
        """Prices by Black and Scholes, and deltas."""
        strike, sign = np.array(self.strikes), np.where(np.array(self.rights) == "C", 1.0, -1.0)
        ends = (datetime.combine(day, time(16), Session.ZONE) for day in self.expiries)
        years = np.array([(end - at).total_seconds() for end in ends]) / 86400 / 365
        width = VOLATILITY * np.sqrt(years)
        first = (np.log(spot / strike) + RATE * years) / width + width / 2
        inside, outside = ((1 + ERF(sign * d / math.sqrt(2))) / 2 for d in (first, first - width))
        return sign * (spot * inside - strike * np.exp(-RATE * years) * outside), sign * inside

    def _land(self, table: LandedTable, *parts: Columns) -> None:
        rows = (Batch(make_rows(table, part)) for part in parts)
        load_job.land(self._pipeline, self._warehouse, "ib", table, rows)


def make_rows(table: LandedTable, columns: Columns) -> pa.Table:
    """Rows of a table: each single value fills its column, and missing columns are null."""
    columns = {"source_route": "bench", "fetched_at": FETCHED, "is_final": True} | columns
    count = max(
        len(c) for c in columns.values() if hasattr(c, "__len__") and not isinstance(c, str)
    )
    arrays = []
    for column in table.schema:
        value = columns.get(column.name)
        is_one = isinstance(value, str) or not hasattr(value, "__len__")
        values = pa.array([value] * count if is_one else list(value))
        if pa.types.is_decimal(column.type):  # integers too: they have room for fewer digits
            values = values.cast(pa.float64())
        arrays.append(values.cast(column.type, safe=False))
    return pa.Table.from_arrays(arrays, schema=table.schema)


def load_chains(year: Year) -> list[Figure]:
    """Land and build the sessions before the night."""
    chains = Chains(year)
    chains.land_set()
    landed = seconds_of(lambda: [chains.land_day(day) for day in list_sessions()[:DAYS]])
    built = year.build(day_at(1))
    year.settle()
    quotes = chains.count * SLOTS * DAYS
    return [Figure(f"{quotes:,} quotes landed", landed), Figure("their first build", built)]


def run_chain_night(year: Year) -> list[Figure]:
    """One more session: landed, rolled up, its surfaces; beside writing the same results."""
    chains, day = Chains(year), list_sessions()[DAYS]
    fixed = year.build(day_at(1))
    year.settle()
    landed = seconds_of(lambda: chains.land_day(day))
    built = year.build(day_at(1))
    copied, written = (copy_day(year, places, day) for places in (LANDED, RESULTS))
    name = f"a night of chains: {chains.count:,} contracts × {SLOTS}"
    how = "create table as of the day's rows"
    return [
        Figure(f"{name}: landed", landed, "s", copied, how, "≤ 2.5"),
        Figure(f"{name}: built", built, "s", written, how, "≤ 2.5", fixed),
    ]


def archive_month(year: Year) -> list[Figure]:
    """All days into the archive, then the first month's slots out of the warehouse."""
    [(quotes,)] = year.rows("select count(*) from raw_ib.chain_snapshot")
    at = f"--as-of={ARCHIVED}T00:00"
    archived, _ = run(year.home, "quotemill", "archive", at)
    dumped = year.home.folder / "quotes.dump"
    table = ("-t", "raw_ib.chain_snapshot", "-f", str(dumped), "-d", year.home.dsn)
    limit = run_tool(year.home, "pg_dump", "-Fc", *table)
    files = (year.home.folder / "archive").glob("view=chain_intraday/**/*.parquet")
    size = sum(file.stat().st_size for file in files)
    older = f"--older-than={(ARCHIVED - FIRST).days - 31}"
    command = ("quotemill", "retention", "--view=intraday", older, "--yes", at)
    retained, _ = run(year.home, *command)
    [(left,)] = year.rows("select count(*) from raw_ib.chain_snapshot")
    dumped.unlink()
    return [
        Figure(f"archive of {quotes:,} quotes", archived, "s", limit, "pg_dump -Fc", "≤ 1.2"),
        Figure("an archived quote", size / quotes, "bytes"),
        Figure(f"retention of a month: {quotes - left:,} quotes", retained),
    ]


def copy_day(year: Year, places: Sequence[str], day: date) -> float:
    """Seconds of writing the day's rows of some tables again."""

    def copy() -> None:
        for place in places:
            rows = f"select * from {place} where trade_date = '{day}'"
            year.rows(f"create table public.copied as {rows}")
            year.rows("drop table public.copied")

    return seconds_of(copy)
