"""The packages of rows that a load lands, and the cursors that they move."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg

from loaders.landing import cursors
from loaders.warehouse.content import ask_content
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_rows

if TYPE_CHECKING:
    import dlt

    from loaders.landing.load_job import Landed
    from loaders.warehouse.tables import Batch, LandedTable

# A package that has as many takes no further key. The first rows of a table can be more: its key is
# built with this package, for whose end readers wait, and kept up row by row in those that follow.
MOST_ROWS, MOST_FIRST_ROWS = 2_000_000, 10_000_000


@dataclass
class Packages:
    """The dlt pipeline of a load. `rows` of the current package are `most` about.

    open: opens the pipeline, at the first package: a load that lands nothing needs none
    read: reads the state of the pipeline from the warehouse
    content: what the warehouse holds while that state is its own (loaders.warehouse.content)
    """

    open: "Callable[[], dlt.Pipeline]"
    read: Callable[[], Mapping[str, Any]]
    source: str
    content: str
    rows: int = 0
    most: int = MOST_ROWS
    # whether its rows land while they are read
    copies_early: bool = False
    _pipeline: "dlt.Pipeline | None" = field(default=None, repr=False)
    # the cursors in ops.ingestion_state that this load wrote, by dataset
    _published: dict[str, dict[str, str]] = field(default_factory=dict)
    # the pipeline's, until a package changes it: dlt reads a file of all cursors each time
    _state: Mapping[str, Any] | None = field(default=None, repr=False)

    def begin(
        self, warehouse: Warehouse, table: "LandedTable", *, reads_files: bool = False
    ) -> None:
        """Begin a package of rows of a table, which wait for nothing where files alone are read."""
        is_first = table.takes_copies and not warehouse.ask(
            lambda conn: has_rows(conn, table.dataset, table.name)
        )
        self.copies_early = is_first and reads_files
        self.rows, self.most = 0, MOST_FIRST_ROWS if is_first else MOST_ROWS

    def has_room(self) -> bool:
        """Whether the current package takes another key."""
        return self.rows < self.most

    def cursors(self, resource: str) -> dict[str, str]:
        """The cursors of a landed table, by key."""
        if self._state is None:
            self._state = self._pipeline.state if self._pipeline else self.read()
        return cursors.read_cursors(self._state, self.source, resource)

    def land(
        self,
        warehouse: Warehouse,
        table: "LandedTable",
        batches: "Iterator[Batch]",
        rejects: "LandedTable",
        beside: "LandedTable | None",
    ) -> "Landed":
        """Land batches of a table, and of the one beside it, as one package."""
        from loaders.landing import load_job

        pipeline = self.open_pipeline()
        try:
            return load_job.land(
                pipeline,
                warehouse,
                self.source,
                table,
                batches,
                rejects,
                beside,
                copies_early=self.copies_early,
            )
        finally:
            self._state = None

    def open_pipeline(self) -> "dlt.Pipeline":
        if self._pipeline is None:
            self._pipeline = self.open()
        return self._pipeline

    def publish(
        self, warehouse: Warehouse, dataset: str, stored: Mapping[str, str], at: datetime
    ) -> None:
        """Write the `stored` cursors of a dataset that moved in this load, for people to read.

        Raises RestoredMeanwhile: plans of loads read them too.
        """
        published = self._published.setdefault(dataset, {})
        moved = {key: cursor for key, cursor in stored.items() if published.get(key) != cursor}

        def write(conn: psycopg.Connection) -> None:
            cursors.publish(conn, self.source, dataset, moved, at)

        if moved:
            ask_content(warehouse, self.content, write)
            published |= moved
