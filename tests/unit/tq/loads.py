"""Loads of ticks without servers, warehouse or store."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from loaders.engine.request import LoadRequest
from loaders.ticks.store import IndexRow, NoDataRow, Stamp
from loaders.tq.context import Context
from loaders.tq.settings import TqSettings
from loaders.tq.tick_days.schedule import Scheduled
from quotemill.ticks.columns import DayKey

NOW = datetime(2025, 11, 3, 10, tzinfo=UTC)
SERIES = "KQ.m@SHFE.cu"


def scheduled(day: date, contract: str = "SHFE.cu2511", segment: int = 1) -> Scheduled:
    return Scheduled(
        variety="SHFE.cu",
        symbol=SERIES,
        trading_day=day,
        contract=contract,
        segment_id=segment,
        prev_contract=None,
        is_switch=False,
        schedule_hash=f"hash {segment}",
        source="backtest",
    )


def index_row(day: Scheduled, **values: Any) -> IndexRow:
    """A complete day of 9 ticks and 900 lots."""
    row: dict[str, Any] = {
        "symbol": day.symbol,
        "contract": day.contract,
        "trading_day": day.trading_day,
        "segment_id": day.segment_id,
        "schedule_hash": day.schedule_hash,
        "rows": 9,
        "first_ts": NOW,
        "last_ts": NOW,
        "hash_a": 1,
        "hash_b": 2,
        "row_hash": "0102",
        "book_levels": 5,
        "volume": 900,
        "day_volume": 900,
        "status": "complete",
        "run_id": "1",
        "updated_at": NOW,
    }
    return IndexRow(**(row | values))


class Store:
    """The index and the days without data of a store."""

    def __init__(self, *indexed: IndexRow) -> None:
        self.rows: dict[DayKey, NoDataRow] = {}
        self.indexed = {row.key: row for row in indexed}
        self.restamped: list[Stamp] = []
        self.superseded: list[DayKey] = []

    def put_no_data(self, rows: Sequence[NoDataRow]) -> None:
        self.rows |= {row.key: row for row in rows}

    def no_data(self, _: object) -> list[NoDataRow]:
        return list(self.rows.values())

    def index(self, _: object) -> list[IndexRow]:
        return list(self.indexed.values())

    def restamp(self, _symbol: str, _contract: str, stamps: Sequence[Stamp]) -> None:
        self.restamped += stamps

    def put_index(self, rows: Sequence[IndexRow]) -> None:
        self.indexed |= {row.key: row for row in rows}

    def supersede(self, symbol: str, contract: str, trading_day: date) -> None:
        self.superseded.append(DayKey(symbol, contract, trading_day))


def context(
    *,
    store: Any = None,
    now: datetime = NOW,
    answer: Any = None,
    said: list[str] | None = None,
    refetches: bool = False,
    **values: Any,
) -> Context:
    """A context whose warehouse gives one answer to every query."""
    settings = TqSettings(concurrency=1, start=date(2025, 1, 1))
    load = SimpleNamespace(
        settings=SimpleNamespace(tq=settings),
        clock=lambda: now,
        warehouse=SimpleNamespace(ask=lambda _: answer),
        request=LoadRequest("tq", options={"refetch": "yes"} if refetches else {}),
        retried=None,
        counts=Counter(),
        warn=(said if said is not None else []).append,
    )
    nothing: Any = None
    load.warehouse.ask = lambda _: settings.start
    given: Any = load
    ctx = Context(given, nothing, Path("none"), store=store or Store())
    load.warehouse.ask = lambda _: answer
    known = {"schedule": {}, "settled_days": {}, "ledger": {}, "newest_row": None}
    for name, value in (known | values).items():
        setattr(ctx, name, value)
    return ctx
