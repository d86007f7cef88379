"""The contract between the engine and a source.

A source is a value of `Source`, listed in loaders.settings.sections. A load of any source:

    missing (operations.py) ▶ requests.check ▶ (warehouse) resolve ▶ lane: lock and pipeline
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

from loaders.check import Check
from loaders.engine.coverage import Coverage, Period
from loaders.engine.outcome import Outcome, records
from loaders.engine.request import LoadRequest
from loaders.warehouse.tables import REJECTED, LandedTable
from quotemill.errors import QuotemillError
from quotemill.warehouse.postgres import Warehouse

if TYPE_CHECKING:
    from loaders.engine.load import Load
    from loaders.settings import Settings

    Preview = Callable[[Settings, Warehouse | None, LoadRequest, datetime | None], "Previewed"]

C = TypeVar("C")  # the source's context: what its datasets need besides their keys


@dataclass(frozen=True)
class Keys:
    """Keys of a dataset that differ from the first column of its table's key.

    only: the one key of a dataset that is read whole
    row_key: the key that a row belongs to
    part: the dataset's share of a table that several datasets land: its cursors end with it
    most: keys that one call of `fetch` gets, where that is not the source's `slice_size`
    """

    only: str | None = None
    row_key: Callable[[Mapping[str, Any]], str] | None = None
    part: str | None = None
    most: int | None = None


@dataclass(frozen=True)
class Dataset(Generic[C]):
    """One name that `--dataset` takes: a table, and how its rows are fetched key by key.

    `fetch(context, keys)` yields outcomes in the order of the keys. An error with one key is its
    outcome. It ends early once the source is gone, the package is full (`Load.room`) or the load
    must stop (it may raise Stopped), and is called again with the keys that are left. Nothing it
    yields may be narrower than what is stored. After an outcome that `is_part` the package lands
    before `fetch` goes on, also where the load must stop: it hands over the rest and ends. `table`
    makes an Arrow table, or records, of the rows of some outcomes: every column of `landed`, whose
    types the values need not fit yet. Records that lack route, time or `is_final` get `route`, the
    load's clock and true. `route` is recorded with rejected rows too.

    `beside` is a further table that outcomes may have rows for; rows that it cannot hold are
    rejected under its name. `recurs`: a later load repairs what failed; not if the keys name a
    moment, which is not loaded again once it passed.
    """

    name: str
    landed: LandedTable
    route: str
    fetch: Callable[[C, Sequence[str]], Iterator[Outcome]]
    table: "Callable[[Sequence[Outcome]], pa.Table | list[dict[str, Any]]]" = records
    beside: LandedTable | None = None
    keys: Keys = Keys()
    recurs: bool = True

    def cursor_key(self, key: str) -> str:
        return f"{key} {self.keys.part}" if self.keys.part else key

    def cursor_of(self, row: Mapping[str, Any]) -> str:
        """The key of the cursor that moves with a row."""
        row_key, first = self.keys.row_key, self.landed.key[0]
        return self.cursor_key(row_key(row) if row_key else str(row.get(first)))

    def has_cursor(self, cursor_key: str) -> bool:
        """Whether this is a cursor of the dataset, in a table that it may share."""
        return self.keys.part is None or cursor_key.endswith(f" {self.keys.part}")


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
    """A load's plan: lines for people, the same for scripts, the error it would raise."""

    lines: tuple[str, ...]
    detail: Mapping[str, Any]
    error: QuotemillError | None = None


@dataclass(frozen=True)
class Requests:
    """Requests that a source takes, and when their loads run.

    modes: each with the datasets that it takes where none is named; none: no --dataset
    exchanges: what --exchange takes; none: it takes no --exchange
    check: raises UsageError, SettingsError for what is known before anything is opened
    now: the time of a load without `as_of`, UTC; this machine's, where the source has no clock
    resolve: replaces words like `last` by days; raises UsageError, and NotDue where there is
        nothing to do at this time
    lane: the pipeline and the lock that a request runs under; None: the source's own
    when_busy: what to do while another load holds the lane: fail, skip this load, or wait, at most
        as long as given; a request that waited is resolved again
    parts: the loads of a request at a time (None: now), in order; `quotemill run` builds in
        between, where a later load reads what dbt made of an earlier one; raises NotDue
    rests_since: on a day without a session since when the data of the one before are available;
        None on other days, and for a source whose `parts` or `resolve` decide that
    """

    modes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exchanges: Sequence[str] = ()
    check: "Callable[[Settings, LoadRequest], None]" = lambda *_: None
    now: "Callable[[Settings], datetime]" = lambda _: datetime.now(UTC)
    resolve: "Callable[[Settings, Warehouse, LoadRequest, datetime], LoadRequest]" = (
        lambda _, __, request, ___: request
    )
    lane: Callable[[LoadRequest], str] | None = None
    when_busy: "Callable[[Settings, LoadRequest], Literal['fail', 'skip', 'wait'] | timedelta]" = (
        lambda *_: "fail"
    )
    parts: "Callable[[Settings, LoadRequest, datetime | None], Sequence[LoadRequest]]" = (
        lambda _, request, __: (request,)
    )
    rests_since: "Callable[[Settings, datetime], datetime | None]" = lambda *_: None


@dataclass(frozen=True)
class Insight:
    """Facts of a source, beside its loads, for commands, reports and models.

    due: the work that is left after a load, a line each with the command that does it
    preview: what a load of a request at a time (None: now) would do; loads nothing
    log_keywords: what `quotemill logscan` counts in log lines: words in lower case, by keyword
    mask: a text of its log without what nobody else may read, such as account numbers
    coverage: what the report shows of its completeness
    doctor: checks beside `Source.check`; no warehouse: none exists yet, or it is away
    needs_holidays: whether it relies on the announced holidays of China's exchanges
    uncounted: figures of loaders.engine.metrics that cannot be counted for it
    facts: for the manifest of a build: what was built of the source, or, given earlier facts, the
        same for the days of those; None: nothing. `made_with` in it is not compared
    """

    due: "Callable[[Settings, Warehouse], Sequence[str]]" = lambda *_: ()
    preview: "Preview | None" = None
    log_keywords: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mask: Callable[[str], str] = lambda text: text
    coverage: "Callable[[psycopg.Connection, Period], Iterator[Coverage]]" = lambda *_: iter(())
    doctor: "Callable[[Settings, Warehouse | None, datetime], Iterator[Check]]" = lambda *_: iter(
        ()
    )
    needs_holidays: bool = False
    uncounted: Sequence[str] = ()
    facts: "Callable[[Settings, Warehouse, Mapping[str, Any] | None], Mapping[str, Any] | None]" = (
        lambda *_: None
    )


@dataclass(frozen=True)
class Source(Generic[C]):
    """A source, to the engine and the commands.

    name: of its settings section, of its tables' schema (`raw_<name>`) and, unless a lane says
        otherwise, of its dlt pipeline and lock
    tables: every table it lands, loaders.landing.rejects.rejected_rows among them; all of them are
        created before the first load of any source
    check: asks whether it answers, at a time in UTC; raises SettingsError, UpstreamError
    open: client, event loop and everything else that lives as long as the load
    plan: the tasks in steps; a step is planned after all tasks of the one before ended
    slice_size: keys in one package of rows at most; it also ends with its rows (Load.room)
    requests, insight: for a source that takes more than codes and days, or shows more than rows
    """

    name: str
    tables: tuple[LandedTable, ...]
    datasets: tuple[Dataset[C], ...]
    check: "Callable[[Settings, datetime], Check]"
    open: "Callable[[Load], AbstractContextManager[C]]"
    plan: Callable[[C], Iterator[Sequence[Unit]]]
    slice_size: "Callable[[Settings], int]" = lambda _: 50
    requests: Requests = Requests()
    insight: Insight = Insight()

    @property
    def rejected(self) -> LandedTable:
        """The table where rejected rows land."""
        return next(table for table in self.tables if table.name == REJECTED)

    def lane_of(self, request: LoadRequest) -> str:
        """The name of the pipeline and the lock that a request runs under."""
        return self.requests.lane(request) if self.requests.lane else self.name

    def dataset(self, name: str) -> Dataset[C]:
        return next(dataset for dataset in self.datasets if dataset.name == name)
