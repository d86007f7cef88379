"""The contract between the engine and a source.

A source is a value of `Source`, listed in loaders.settings.sections. A load of any source:

    missing (operations.py) ▶ check_request ▶ (warehouse) resolve ▶ lane: lock and pipeline
      ▶ open ▶ plan ─▶ step of units ─▶ each unit: fetch ▶ table ▶ one package of rows after another

Everything but `fetch` of a dataset is called once a load. All calls come from the thread of the
load; which threads, event loops or processes a source uses to get answers is its own business.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import psycopg
import pyarrow as pa

from loaders.engine.check import Check
from loaders.engine.coverage import Coverage, Period
from loaders.engine.outcome import Outcome, records
from loaders.engine.request import LoadRequest
from loaders.errors import QuotemillError
from loaders.warehouse.postgres import Warehouse
from loaders.warehouse.tables import LandedTable

if TYPE_CHECKING:
    from loaders.engine.load import Load
    from loaders.settings import Settings

    Preview = Callable[[Settings, Warehouse | None, LoadRequest, datetime | None], "Previewed"]

C = TypeVar("C")  # the source's context: what its datasets need besides their keys


@dataclass(frozen=True)
class Dataset(Generic[C]):
    """One name that `--dataset` takes: a table, and how its rows are fetched key by key.

    `fetch(context, keys)` yields outcomes in the order of the keys. An error with one key is its
    outcome. It ends early once the source is gone, the package is full (`Load.room`) or the load
    must stop (it may raise Stopped), and is called again with the keys that are left. Nothing it
    yields may be narrower than what is stored. After an outcome that `is_part` the package lands
    before `fetch` goes on, also where the load must stop: it hands over the rest and ends. `table`
    makes an Arrow table, or records, of the rows of some outcomes: every column of `landed`, whose
    types the values need not fit yet. `route` is recorded with rejected rows.

    `beside` is a further table that outcomes may have rows for; rows that it cannot hold are
    rejected under its name. `only_key` is the one key of a dataset that is read whole. `part` names
    the dataset's share of a table that several datasets land: the keys of its cursors end with it.
    `key_of` returns the key that a row belongs to, where that is not its value in the first column
    of the table's key.

    `leave(context, keys)` yields, as parts, the rows of keys that a stop left without an outcome:
    what says that they were not reached.

    `slice_size` is how many keys one call of `fetch` gets at most, where that is not the source's.

    `recurs` is False where a key names a moment: once that passed it is not loaded again, so its
    failure is not stored as one to repair.
    """

    name: str
    landed: LandedTable
    route: str
    fetch: Callable[[C, Sequence[str]], Iterator[Outcome]]
    table: "Callable[[Sequence[Outcome]], pa.Table | list[dict[str, Any]]]" = records
    part: str | None = None
    key_of: Callable[[Mapping[str, Any]], str] | None = None
    only_key: str | None = None
    beside: LandedTable | None = None
    leave: Callable[[C, Sequence[str]], Iterator[Outcome]] | None = None
    recurs: bool = True
    slice_size: int | None = None

    def cursor_key(self, key: str) -> str:
        return f"{key} {self.part}" if self.part else key

    def cursor_of(self, row: Mapping[str, Any]) -> str:
        """The key of the cursor that moves with a row."""
        first = self.landed.key[0]
        return self.cursor_key(self.key_of(row) if self.key_of else str(row.get(first)))

    def has_cursor(self, cursor_key: str) -> bool:
        """Whether this is a cursor of the dataset, in a table that it may share."""
        return self.part is None or cursor_key.endswith(f" {self.part}")


@dataclass(frozen=True)
class Unit:
    """A planned task: keys of one dataset, of one exchange where that matters.

    `follow`: asked once the task has run for a task that runs next, before those planned with it.
    """

    dataset: str
    keys: tuple[str, ...]
    exchange: str | None = None
    follow: "Callable[[], Unit | None] | None" = field(default=None, compare=False)


@dataclass(frozen=True)
class Previewed:
    """What a load would do: lines for people, the same for scripts, the error it would raise."""

    lines: tuple[str, ...]
    detail: Mapping[str, Any]
    error: QuotemillError | None = None


@dataclass(frozen=True)
class Source(Generic[C]):
    """What the engine and the commands know of a source.

    `name` is the name of its settings section, of its tables' schema (`raw_<name>`) and, unless
    `lane` says otherwise, of its dlt pipeline and lock.
    """

    name: str
    # every table it lands; all of them are created before the first load of any source
    tables: tuple[LandedTable, ...]
    # where rejected rows land: loaders.landing.rejects.rejected_rows
    rejected: LandedTable
    datasets: tuple[Dataset[C], ...]
    # keys in one package of rows at most; a package also ends with its rows (Load.room)
    slice_size: "Callable[[Settings], int]"
    # asks whether it answers, at a time in UTC; raises SettingsError, UpstreamError
    check: "Callable[[Settings, datetime], Check]"
    # client, event loop and everything else that lives as long as the load
    open: "Callable[[Load], AbstractContextManager[C]]"
    # the tasks of the load in steps; a step is planned after all tasks of the one before ended
    plan: Callable[[C], Iterator[Sequence[Unit]]]
    # its modes, each with the datasets that it takes where none is named; none: no --dataset
    modes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # what --exchange takes; none: it takes no --exchange
    exchanges: Sequence[str] = ()
    # raises UsageError, SettingsError for what is known before anything is opened
    check_request: "Callable[[Settings, LoadRequest], None]" = lambda *_: None
    # the time of a load without `as_of`, UTC: this machine's, where the source has no clock
    now: "Callable[[Settings], datetime]" = lambda _: datetime.now(UTC)
    # the request with words like `last` replaced by days; raises UsageError, and NotDue where there
    # is nothing to do at this time
    resolve: "Callable[[Settings, Warehouse, LoadRequest, datetime], LoadRequest]" = (
        lambda _, __, request, ___: request
    )
    # settings that dbt's models read from ops.settings, by name
    dbt_settings: "Callable[[Settings], Mapping[str, str]]" = lambda _: {}
    # the pipeline and the lock that a request runs under; each has one load at a time
    lane: Callable[[LoadRequest], str] | None = None
    # while another load holds the lane: fail, skip this load, or wait, at most as long as given; a
    # request that waited is resolved again
    when_busy: "Callable[[Settings, LoadRequest], Literal['fail', 'skip', 'wait'] | timedelta]" = (
        lambda *_: "fail"
    )
    # the loads of a request at a time (None: now), in order; `quotemill run` builds in between,
    # where a later load reads what dbt made of an earlier one; raises NotDue
    parts: "Callable[[Settings, LoadRequest, datetime | None], Sequence[LoadRequest]]" = (
        lambda _, request, __: (request,)
    )
    # on a day without a session: since when the data of the session before are available; None on
    # other days, and for a source whose `parts` or `resolve` decide that
    rests_since: "Callable[[Settings, datetime], datetime | None]" = lambda *_: None
    # after a load: the remaining work, a line each with the command that does it
    due: "Callable[[Settings, Warehouse], Sequence[str]]" = lambda *_: ()
    # what a load of the request at a time (None: now) would do; loads nothing
    preview: "Preview | None" = None
    # what `quotemill logscan` counts in its log lines: words in lower case, by keyword
    log_keywords: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # a text of its log without what nobody else may read, such as account numbers
    mask: Callable[[str], str] = lambda text: text
    # what the report shows of its completeness
    coverage: "Callable[[psycopg.Connection, Period], Iterator[Coverage]]" = lambda *_: iter(())
    # checks of `quotemill doctor` beside `check`; no warehouse: none exists yet, or it is away
    doctor: "Callable[[Settings, Warehouse | None, datetime], Iterator[Check]]" = lambda *_: iter(
        ()
    )
    # whether it fills the tick store
    keeps_ticks: bool = False
    # whether it relies on the announced holidays of China's exchanges
    needs_holidays: bool = False
    # figures of loaders.engine.metrics that cannot be counted for it
    uncounted: Sequence[str] = ()
    # for the manifest of a build: what was built of the source, or, given earlier facts, the same
    # for the days of those; None: nothing. `made_with` in it is not compared
    facts: "Callable[[Settings, Warehouse, Mapping[str, Any] | None], Mapping[str, Any] | None]" = (
        lambda *_: None
    )

    def lane_of(self, request: LoadRequest) -> str:
        return self.lane(request) if self.lane else self.name

    def dataset(self, name: str) -> Dataset[C]:
        return next(dataset for dataset in self.datasets if dataset.name == name)
