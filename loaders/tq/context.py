"""The context that a running load of China futures passes to its datasets."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from loaders.engine import source
from loaders.engine.outcome import Outcome, SourceGone
from loaders.tq import landed
from loaders.tq.client.answers import Instruments
from loaders.tq.client.harvest import Harvest
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, TqTransport, UnknownSymbol
from loaders.tq.settings import TqSettings
from loaders.tq.tick_days.ledger import LedgerRow, read_ledger, read_newest_time, read_no_data
from loaders.tq.tick_days.records import NoDataDays, StoreIndex
from loaders.tq.tick_days.schedule import Scheduled, read_schedule, read_settled_days
from loaders.tq.trading_day import close_of, sessions_on, trading_day_of
from loaders.trading_time import SHANGHAI
from quotemill.errors import DataQualityError, UpstreamError
from quotemill.ticks.columns import DayKey

if TYPE_CHECKING:
    import psycopg

    from loaders.engine.load import Load
    from loaders.ticks.questdb.store import QuestdbStore
    from loaders.ticks.store import IndexRow
    from loaders.tq.live.recorded import RecentDay
    from loaders.tq.live.stretch import Stretch

R = TypeVar("R")
SETTLE_MARGIN = timedelta(minutes=30)  # after the close: the newest day may still get ticks
LAST_QUOTE = timedelta(minutes=5)  # before the close: a main contract is quoted until then


@dataclass
class Context:
    """The state of a load; its properties are read from the warehouse or the store once.

    load, harvest  the load, and its answers from the servers
    recorded       of recorded ticks, by contract; kept between loads
    halted         set it to end every process of the client
    days           all known trading days, once the calendar has been loaded
    instruments    by variety, once asked for
    exchange_seen  the newest quote of each exchange, once asked for
    stretch        the sessions that a recorder records

    In the lane of ticks:

    store          the tick store, prepared
    changes        index rows that the task `tick_index` changes
    history        whether the account may download the history of ticks
    history_gave   whether the history gave ticks of any day in this load
    recent         without the permission: newest ticks of contracts by trading day, or the error
    reconciled     of recorded ticks: `shared` with the servers' answers, and `differing` from them
    """

    load: "Load"
    harvest: Harvest
    recorded: Path
    halted: threading.Event = field(default_factory=threading.Event)
    days: list[date] = field(default_factory=list)
    instruments: dict[str, Instruments] = field(default_factory=dict)
    exchange_seen: dict[str, datetime | None] = field(default_factory=dict)
    stretch: "Stretch | None" = None
    store: "QuestdbStore | None" = None
    changes: "dict[DayKey, IndexRow]" = field(default_factory=dict)
    history: bool = True
    history_gave: bool = False
    recent: "dict[str, dict[date, RecentDay] | UpstreamError]" = field(default_factory=dict)
    reconciled: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.settings: TqSettings = self.load.settings.tq
        self.as_of = self.load.clock()  # the load's one time, UTC
        self.today = self.as_of.astimezone(SHANGHAI).date()
        start = self.settings.start
        self.first_day = self.ask(lambda conn: landed.window_start(conn, start, self.today))

    @cached_property
    def schedule(self) -> dict[DayKey, Scheduled]:
        """The days as dbt built them."""
        schema = self.load.warehouse.inner_schema("futures")
        return {day.key: day for day in self.ask(lambda conn: read_schedule(conn, schema))}

    @cached_property
    def symbols(self) -> frozenset[str]:
        """The scheduled series."""
        return frozenset(key.symbol for key in self.schedule)

    @cached_property
    def settled_days(self) -> dict[str, date | None]:
        """The newest settled day of each variety."""
        return self.ask(read_settled_days)

    @cached_property
    def index(self) -> StoreIndex:
        """The store's index of the scheduled series."""
        assert self.store is not None
        return StoreIndex(self.store, self.symbols)

    @cached_property
    def no_data(self) -> NoDataDays:
        """The store's days without ticks, or with too few."""
        assert self.store is not None
        return NoDataDays(self.store, self.symbols)

    @cached_property
    def ledger(self) -> dict[DayKey, LedgerRow]:
        """raw_tq.symbol_day, the landed copy of `index`."""
        return self.ask(lambda conn: read_ledger(conn, self.symbols))

    @cached_property
    def no_data_copies(self) -> dict[DayKey, dict[str, Any]]:
        """raw_tq.no_data_day, the landed copy of what `no_data` has on record."""
        return self.ask(lambda conn: read_no_data(conn, self.symbols))

    @cached_property
    def newest_row(self) -> datetime | None:
        """When the newest row about the store landed, before those of this load."""
        return self.ask(read_newest_time)

    @cached_property
    def named(self) -> Set[str]:
        """Contract-days that the request or a retry names; a retry without a day has none."""
        retried = [task for task in self.load.retried or () if task.dataset == "ticks"]
        return {key for task in retried for key in task.keys} or self.requested_days

    @property
    def requested_days(self) -> Set[str]:
        """Contract-days that the request names."""
        return {key for key in self.load.request.keys or () if " " in key}

    @property
    def refetches(self) -> bool:
        """Whether the request reads complete days again."""
        return not self.load.request.options.keys().isdisjoint(("refetch", "date"))

    @property
    def by_name(self) -> bool:
        """Whether the load was asked for these very days, as a repair does.

        An answer that is equal replaces stored ticks then.
        """
        return bool(self.named) or self.refetches

    def stored_day(self, key: DayKey) -> "IndexRow | None":
        """The index row of a day whose ticks readers see."""
        return self.index.find_visible(key)

    def ask(self, work: "Callable[[psycopg.Connection], R]") -> R:
        """Query the warehouse, patiently."""
        return self.load.warehouse.ask(work)

    @property
    def ledger_time(self) -> datetime:
        """The time of rows about the store: later than those of earlier loads.

        They follow the store in the order of loads. One with an earlier clock, as with `--as-of` in
        a sandbox's home that was loaded by the machine's, lands its rows all the same.
        """
        now, newest = self.load.clock(), self.newest_row
        return max(now, newest + timedelta(microseconds=1)) if newest else now

    @property
    def lineage(self) -> dict[str, Any]:
        return {"fetched_at": self.load.clock(), "is_final": True}

    def fetch_instruments(self, variety: str) -> Instruments:
        """The contracts and hours of a variety, asked for once a load.

        Raises UpstreamError for a list without any of the contracts that still trade: the client
        adds those of before October 2020 even to an empty one.
        """
        if variety not in self.instruments:
            answer = self.harvest.instruments([variety])
            days = [row["expire_date"] for row in answer.contracts]
            if not any(day is None or day >= self.today for day in days):
                known = self.ask(lambda conn: landed.count_unexpired(conn, variety, self.today))
                if known:
                    raise UpstreamError(
                        f"the source lists none of {variety}'s {known} known contracts "
                        "that have not expired"
                    )
            self.instruments[variety] = answer
        return self.instruments[variety]

    def last_ended_day(self, variety: str) -> date | None:
        """The newest trading day that is over by the clock, its margin included."""
        versions = self.ask(lambda conn: landed.sessions(conn, variety))
        over = (
            day
            for day in reversed(self.days)
            if day <= self.today
            and close_of(day, sessions_on(day, versions)) + SETTLE_MARGIN <= self.as_of
        )
        return next(over, None)

    def last_settled_day(self, variety: str) -> date | None:
        """The newest trading day that the source itself shows to be complete.

        It has a quote of a later day, or its newest one is from the end of that day's last session.
        Where the variety has none, as on a quiet day, others of its exchange say that the source
        goes on; those of another exchange come another way. The clock can hold a day back, and
        makes none complete.
        """
        ended, settled = self.last_ended_day(variety), self.last_quoted_day(variety)
        if ended is None or (settled is not None and settled >= ended):
            return settled
        others = self._quoted_to(variety, self._exchange_seen_at(variety.partition(".")[0]))
        return max(filter(None, (settled, others)), default=None)

    def _exchange_seen_at(self, exchange: str) -> datetime | None:
        if exchange not in self.exchange_seen:
            try:
                self.exchange_seen[exchange] = self.harvest.exchange_seen_at(exchange)
            except (UnknownSymbol, TqTimeout, TqClientError, TqAnswerError):  # shows nothing
                self.exchange_seen[exchange] = None
        return self.exchange_seen[exchange]

    def last_quoted_day(self, variety: str) -> date | None:
        """The newest trading day that quotes of the variety itself show to be complete."""
        return self._quoted_to(variety, self.fetch_instruments(variety).seen_at.get(variety))

    def _quoted_to(self, variety: str, quoted_at: datetime | None) -> date | None:
        """The newest trading day of a variety that is complete where this is the newest quote."""
        ended = self.last_ended_day(variety)
        reached = trading_day_of(quoted_at, self.days) if quoted_at else None
        if ended is None or quoted_at is None or reached is None:
            return None
        if ended < reached:
            return ended
        if quoted_at >= self.last_minutes(variety, reached):
            return reached
        return next((day for day in reversed(self.days) if day < reached), None)

    def last_minutes(self, variety: str, day: date) -> datetime:
        """When the last minutes before a day's close begin, in which a variety is still quoted."""
        versions = self.ask(lambda conn: landed.sessions(conn, variety))
        close = close_of(day, sessions_on(day, versions))
        return close - LAST_QUOTE

    def load_each(self, keys: Sequence[str], work: Callable[[str], Outcome]) -> Iterator[Outcome]:
        """The outcomes of keys; ends once the source is gone or the package is full."""
        for key in keys:
            outcome = load_key(key, work)
            yield outcome
            if outcome.gone is not None or not self.load.room():
                return


Dataset = source.Dataset[Context]


def load_key(key: str, work: Callable[[str], Outcome]) -> Outcome:
    """The outcome of a key. An account that is not let in ends the load."""
    try:
        return work(key)
    except (UnknownSymbol, TqTimeout, TqClientError) as error:
        return Outcome(key, failure=describe(error))
    except TqTransport as error:
        return Outcome(key, failure=str(error), gone=source_gone(error))
    except (UpstreamError, DataQualityError) as error:
        return Outcome(key, failure=describe(error))


def source_gone(error: TqTransport) -> SourceGone:
    hint = error.hint or "Run `loaders check tq` to test the servers, then `quotemill retry`."
    return SourceGone(str(error), hint=hint)


def describe(error: Any) -> str:
    """An error with its hint."""
    return f"{error} ({error.hint})" if error.hint else str(error)


def concat_rows(outcomes: Sequence[Outcome]) -> Any:
    """The Arrow rows of outcomes: a dataset's `table`."""
    import pyarrow as pa

    return pa.concat_tables([outcome.rows for outcome in outcomes if outcome.rows is not None])


def add_columns(table: Any, values: Mapping[str, Any]) -> Any:
    """An Arrow table with further columns, each of one value."""
    import pyarrow as pa

    kinds = {"fetched_at": pa.timestamp("us", tz="UTC")}
    for name, value in values.items():
        scalar = pa.scalar(value, kinds.get(name))
        table = table.append_column(name, pa.repeat(scalar, table.num_rows))
    return table
