"""What a running load of China futures offers its datasets."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from loaders.engine import source
from loaders.engine.outcome import Outcome, SourceGone
from loaders.errors import DataQualityError, UpstreamError
from loaders.tq import stored
from loaders.tq.client.answers import Instruments
from loaders.tq.client.harvest import Harvest
from loaders.tq.errors import TqClientError, TqTimeout, TqTransport, UnknownSymbol
from loaders.tq.settings import TqSettings
from loaders.tq.trading_day import close_of, sessions_on, trading_day_of
from loaders.trading_time import SHANGHAI

if TYPE_CHECKING:
    import psycopg

    from loaders.engine.load import Load
    from loaders.ticks.frame import DayKey
    from loaders.ticks.store import TickStore
    from loaders.tq.tick_days.backlog import Scheduled
    from loaders.tq.tick_days.ledgers import Ledgers

R = TypeVar("R")
WINDOW = timedelta(days=365)  # of a first load without a start
LAST_QUOTE = timedelta(minutes=5)  # before the close: a main contract is quoted until then


@dataclass
class Context:
    """`began` is the load's one moment, UTC; `today` its date at the exchange. `days` are all trading
    days known, filled in once the calendar has been loaded. `another` opens a harvest whose sessions
    are not those of `harvest`; `kept` is a folder for the load's files; who sets `halted` ends every
    process of the client.

    In the lane of ticks there are `store` and its `ledgers`, the series and the schedule that dbt built, the
    days that have settled, the landed copy of the store's index, the complete days whose day bar was corrected
    since, and, without the permission for more (`history`), the newest ticks of contracts by trading day;
    `history_gave` once the history had ticks of any day."""

    load: "Load"
    harvest: Harvest
    another: "Callable[[], AbstractContextManager[Harvest]]"
    kept: Path
    halted: threading.Event = field(default_factory=threading.Event)
    store: "TickStore | None" = None
    symbols: frozenset[str] = frozenset()
    days: list[date] = field(default_factory=list)
    instruments: dict[str, Instruments] = field(default_factory=dict)
    schedule: "dict[DayKey, Scheduled]" = field(default_factory=dict)
    settled_days: dict[str, date | None] = field(default_factory=dict)
    copies: "dict[DayKey, dict[str, Any]]" = field(default_factory=dict)
    outdated: "frozenset[DayKey]" = frozenset()
    recent: dict[str, dict[date, Any] | UpstreamError] = field(default_factory=dict)
    history: bool = True
    history_gave: bool = False

    def __post_init__(self) -> None:
        self.settings: TqSettings = self.load.settings.tq
        self.began = self.load.clock()
        self.today = self.began.astimezone(SHANGHAI).date()
        self.first = self.ask(stored.first_day) or self.settings.start or self.today - WINDOW
        if self.settings.start:
            self.first = min(self.first, self.settings.start)

    @cached_property
    def contracts_of_day(self) -> "dict[tuple[str, date], list[DayKey]]":
        """The keys of `copies` by series and day: a load adds none to a day but its scheduled contract."""
        found: dict[tuple[str, date], list[DayKey]] = defaultdict(list)
        for key in self.copies:
            found[key.symbol, key.trading_day].append(key)
        return found

    @cached_property
    def ledgers(self) -> "Ledgers":
        """Once the store is prepared, and the series are known."""
        from loaders.tq.tick_days.ledgers import Ledgers

        assert self.store is not None
        return Ledgers(self.store, self.symbols)

    def ask(self, work: "Callable[[psycopg.Connection], R]") -> R:
        """A query of the warehouse, patiently."""
        return self.load.warehouse.ask(work)

    @property
    def lineage(self) -> dict[str, Any]:
        return {"fetched_at": self.load.clock(), "is_final": True}

    def asked(self, variety: str) -> Instruments:
        """The contracts and hours of a variety, asked for once a load."""
        if variety not in self.instruments:
            self.instruments[variety] = self.harvest.instruments([variety])
        return self.instruments[variety]

    def ended(self, variety: str) -> date | None:
        """The newest trading day that is over by the clock, its margin included."""
        versions = self.ask(lambda conn: stored.sessions(conn, variety))
        margin = timedelta(seconds=self.settings.settle_margin)
        over = (
            day
            for day in reversed(self.days)
            if day <= self.today
            and close_of(day, sessions_on(day, versions)) + margin <= self.began
        )
        return next(over, None)

    def settled(self, variety: str) -> date | None:
        """The newest trading day of which the source itself shows that nothing more will come.

        It has a quote of a later day, or its newest one is from the end of that day's last session. The
        clock can hold a day back, and makes none complete.
        """
        ended, seen = self.ended(variety), self.asked(variety).seen_at.get(variety)
        reached = trading_day_of(seen, self.days) if seen else None
        if ended is None or seen is None or reached is None:
            return None
        if ended < reached:
            return ended
        versions = self.ask(lambda conn: stored.sessions(conn, variety))
        close = close_of(reached, sessions_on(reached, versions))
        if seen >= close - min(LAST_QUOTE, timedelta(seconds=self.settings.settle_margin)):
            return reached
        return next((day for day in reversed(self.days) if day < reached), None)

    def each(self, keys: Sequence[str], work: Callable[[str], Outcome]) -> Iterator[Outcome]:
        """The outcomes of keys one by one; ends once the source is gone or the package is full."""
        for key in keys:
            found = outcome_of(key, work)
            yield found
            if found.gone is not None or not self.load.room():
                return


Dataset = source.Dataset[Context]


def outcome_of(key: str, work: Callable[[str], Outcome]) -> Outcome:
    """What goes wrong with one key is its outcome. An account that is not let in ends the load."""
    try:
        return work(key)
    except (UnknownSymbol, TqTimeout, TqClientError) as error:
        return Outcome(key, failure=said(error))
    except TqTransport as error:
        return Outcome(key, failure=str(error), gone=gone(error))
    except (UpstreamError, DataQualityError) as error:
        return Outcome(key, failure=said(error))


def gone(error: TqTransport) -> SourceGone:
    hint = error.hint or "`loaders check tq` asks the servers; then `loaders retry`"
    return SourceGone(str(error), hint=hint)


def said(error: Any) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def tables(outcomes: Sequence[Outcome]) -> Any:
    """Rows of outcomes that are Arrow tables: what a dataset's `table` may be."""
    import pyarrow as pa

    return pa.concat_tables([outcome.rows for outcome in outcomes if outcome.rows is not None])


def with_columns(table: Any, values: Mapping[str, Any]) -> Any:
    """An Arrow table with the same value in further columns."""
    import pyarrow as pa

    kinds = {"fetched_at": pa.timestamp("us", tz="UTC")}
    for name, value in values.items():
        scalar = pa.scalar(value, kinds.get(name))
        table = table.append_column(name, pa.repeat(scalar, table.num_rows))
    return table
