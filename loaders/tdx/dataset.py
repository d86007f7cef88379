"""What a dataset of the TDX source is: a table, and how its rows are fetched key by key."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from loaders.engine.outcome import Outcome
from loaders.engine.window import Window
from loaders.settings import TdxSettings
from loaders.tdx.datasets.codes import Security
from loaders.tdx.service.client import TdxClient
from loaders.warehouse.tables import LandedTable

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Context:
    """What a running load offers its datasets.

    `began` is the load's one moment, UTC; `clock` goes on. `ask` runs a query of the warehouse,
    patiently. `cursors` gives the cursors of a landed table by key. `room` is false once the package
    in hand is full; a fetch passes it to `in_order`.
    """

    client: TdxClient
    settings: TdxSettings
    window: Window
    securities: Mapping[str, Security]
    mode: str  # init, incremental, realtime
    began: datetime
    clock: Callable[[], datetime]
    ask: "Callable[[Callable[[psycopg.Connection], Any]], Any]"
    cursors: Callable[[str], dict[str, date]]
    room: Callable[[], bool]

    def instrument_type(self, code: str) -> str:
        """stock, fund or index; a code that no list names is a stock."""
        found = self.securities.get(code)
        return found.instrument_type if found else "stock"


def records(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The rows of outcomes whose rows are records."""
    return [row for outcome in outcomes for row in outcome.rows or ()]


@dataclass(frozen=True)
class Dataset:
    """A dataset with one cursor for each key.

    `fetch` gives outcomes in the order of the keys, and ends early once the service is gone or the
    package is full. `table` makes an Arrow table, or records, of the rows of some outcomes: every
    column of `landed`, whose types the values need not fit yet.
    `route` is named where rows are refused. `period` is that of a dataset which shares its table: its
    cursors' keys end so.
    """

    name: str
    landed: LandedTable
    route: str
    fetch: Callable[[Context, Sequence[str]], AsyncIterator[Outcome]]
    table: Callable[[Sequence[Outcome]], pa.Table | list[dict[str, Any]]]
    period: str | None = None

    def cursor_key(self, key: str) -> str:
        return f"{key} {self.period}" if self.period else key

    def has_cursor(self, cursor_key: str) -> bool:
        """Is this one of the dataset's own cursors, in a table that it may share?"""
        return self.period is None or cursor_key.endswith(f" {self.period}")
