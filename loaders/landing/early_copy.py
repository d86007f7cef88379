"""COPY of the first rows of a table while dlt extracts them.

To extract keeps one processor busy, and COPY another. So what dlt gets goes to the server at once,
in a transaction that stays open and keeps readers of the table waiting. The file of the package is
what counts: when its turn comes and its rows are there, and no others, it takes the transaction
over, and what is left is the change feed, the key, the indexes and the commit. In any other case,
and where the process dies, the server undoes the rows, and the file lands as any other.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from pgpq import ArrowToPostgresBinaryEncoder

from loaders.landing import first_rows
from loaders.landing.editions.plain import PlainTable
from loaders.landing.first_copy import Changes, make_encoder
from loaders.landing.landed_file import column_types, land_copied
from loaders.landing.staging import COPY_ROWS, copy_binary
from loaders.landing.stop_at_once import hung_up_when_stopped
from loaders.landing.target import ROW_ERRORS, Target
from loaders.warehouse.content import require_content
from loaders.warehouse.tables import LOAD_ID, LandedTable

log = logging.getLogger(__name__)

FEWEST = 200_000  # rows that come at once: below, there is little to gain
MOST_HELD = 2  # tables of so many rows, some 20 MB each, that wait for their COPY


@contextmanager
def copying_early(destination: Any, table: LandedTable) -> Iterator["EarlyCopy"]:
    """An early copy of the next package of a table, for load jobs of this destination of dlt."""
    target = Target(
        schema=table.dataset,
        table=table.name,
        key=table.key,
        entity=table.entity,
        day=table.day,
        indexes=table.index_names,
    )
    config, connect = destination.config_params, destination.warehouse.connect
    early = EarlyCopy(connect, target, config["content"])
    destination.early = early
    try:
        yield early
    finally:
        destination.early = None
        early.close()


class EarlyCopy:
    """The rows of one package that an open transaction has copied into their table."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection], target: Target, content: str
    ) -> None:
        self._connect, self._target, self._content = connect, target, content
        self._thread = ThreadPoolExecutor(1, "early-copy")
        self._waiting: list[Future[None]] = []
        self._open = ExitStack()  # the connection
        self._conn: psycopg.Connection | None = None
        self._load_id, self._schema = "", pa.schema([])
        self._dropped: Sequence[str] = ()
        self._rows, self._changes = 0, Changes(target)
        self._has_ended = False

    @property
    def table(self) -> str:
        return self._target.table

    def add(self, rows: pa.Table, load_id: str) -> None:
        """COPY rows of a package while the caller goes on, unless too many others wait."""
        if not self._load_id and len(rows) < FEWEST:
            return
        self._load_id = load_id
        self._waiting.append(self._thread.submit(self._copy, rows))
        if len(self._waiting) > MOST_HELD:
            wait([self._waiting.pop(0)])

    def _copy(self, rows: pa.Table) -> None:
        if self._has_ended:
            return
        try:
            # as dlt adds it to the file
            rows = rows.append_column(LOAD_ID, pa.repeat(pa.scalar(self._load_id), len(rows)))
            conn = self._conn or self._begin(rows.schema)
            if conn is None:
                self._end()
                return
            batches = self._changes.draw(rows.to_batches(COPY_ROWS))
            encoder = ArrowToPostgresBinaryEncoder(rows.schema)
            self._rows += copy_binary(conn, batches, self._target.name, encoder)
        except Exception as error:  # of a value, of the server: the file meets it again
            log.info("cannot copy %s early: %s", self.table, error)
            self._end()

    def _begin(self, schema: pa.Schema) -> psycopg.Connection | None:
        """Open the transaction of the rows; None where the table has or may have others."""
        conn = self._connect()
        self._open.callback(conn.close)
        self._open.enter_context(hung_up_when_stopped(conn))
        require_content(conn, self._content)
        self._target = target = replace(self._target, types=column_types(conn, self._target))
        if not set(schema.names) <= target.types.keys():
            return None
        if make_encoder(conn, schema, PlainTable(target)) is None:
            return None
        dropped = first_rows.clear(conn, target)
        if dropped is None:
            return None
        self._conn, self._schema, self._dropped = conn, schema, dropped
        return conn

    def take(self, path: Path, table: str, load_id: str) -> bool:
        """Whether the open transaction has the rows of a file, and no others."""
        if (table, load_id) != (self.table, self._load_id):
            return False
        wait(self._waiting)
        with pq.ParquetFile(path) as file:
            is_whole = (
                not self._has_ended
                and self._rows == file.metadata.num_rows
                and set(self._schema.names) == set(file.schema_arrow.names)
            )
        if not is_whole:
            self._end()
        return is_whole

    @contextmanager
    def lend(self) -> Iterator[psycopg.Connection]:
        """The connection of the transaction, which is committed; then it is closed."""
        assert self._conn is not None
        try:
            yield self._conn
            self._conn.commit()
        finally:
            self._end()

    def land(self, conn: psycopg.Connection, target: Target, *, file_id: str) -> bool:
        """Land a file whose rows are there; where the table refuses them, undo them."""
        try:
            land_copied(
                conn,
                target,
                self._changes,
                self._dropped,
                rows=self._rows,
                file_id=file_id,
            )
        except ROW_ERRORS as error:  # of a key that repeats
            log.info("%s does not accept a file directly: %s", target.table, error)
            conn.rollback()
            return False
        return True

    def _end(self) -> None:
        self._has_ended = True
        self._open.close()

    def close(self) -> None:
        """Undo what no file has taken over."""
        self._has_ended = True
        self._thread.shutdown()
        self._open.close()
