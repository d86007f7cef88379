"""Restore archived days: insert missing rows, and only where the result is what was archived."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import psycopg
import pyarrow as pa
from pyarrow import csv

from loaders.engine.progress import Reporter
from loaders.files.folder import check_size
from loaders.settings import Settings
from orchestration.archive import content, landed, ledger
from orchestration.archive import folder as folders
from orchestration.archive.content import Content
from orchestration.archive.folder import Damaged
from orchestration.archive.ledger import Partition
from orchestration.archive.store import Archive, Result, open_archive
from orchestration.archive.views import Place, View, find_view
from quotemill.errors import DataQualityError, UsageError
from quotemill.warehouse.postgres import Warehouse


@dataclass(frozen=True)
class Request:
    """Days from `since` to `until`, both included, and underlyings; None: all archived ones."""

    view: str
    since: date
    until: date
    symbols: tuple[str, ...] | None = None
    dry_run: bool = False


@dataclass
class RestoreResult(Result):
    """Result of a restore.

    standing: partitions that the warehouse already has as archived
    other:    partitions with other rows in the warehouse than archived; left alone
    damaged:  damaged files; left alone
    """

    view: str
    dry_run: bool
    partitions: int = 0
    rows: int = 0
    standing: int = 0
    other: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        return DataQualityError.exit_code if self.other or self.damaged else 0


def restore(
    settings: Settings,
    warehouse: Warehouse,
    request: Request,
    reporter: Reporter,
    as_of: datetime,
) -> RestoreResult:
    """Restore days as of now (`as_of`). A dry run reads and compares, and writes nothing.

    Raises UsageError for a view that dbt builds, and where nothing is archived; LockHeldError.
    """
    view = find_view(request.view)
    if view.landed is None:
        raise UsageError(
            f"{view.name} is built from the slots",
            hint="Restore chain_intraday, then run `quotemill build`.",
        )
    result = RestoreResult(view.name, request.dry_run)
    with open_archive(settings, warehouse, dry_run=request.dry_run) as archive:
        with warehouse.connect() as conn:
            days: dict[date, list[Partition]] = {}
            for partition in ledger.find_partitions(
                conn, archive.schema, view.name, symbols=request.symbols
            ):
                if request.since <= partition.partition_date <= request.until:
                    days.setdefault(partition.partition_date, []).append(partition)
        if not days:
            symbols = f" of {', '.join(request.symbols)}" if request.symbols else ""
            raise UsageError(
                f"no rows of {view.name}{symbols} are archived from {request.since} "
                f"to {request.until}",
                hint="Choose days that ops.archive_partitions lists.",
            )
        reporter.start(view.name, len(days))
        for day, partitions in days.items():
            _Day(archive, view, day, as_of, result).run(partitions)
            reporter.advance(view.name, 1)
    return result


class _Day:
    """Restore the partitions of a day, by underlying."""

    def __init__(
        self, archive: Archive, view: View, day: date, as_of: datetime, result: RestoreResult
    ) -> None:
        assert view.landed is not None
        self._warehouse, self._folder = archive.warehouse, archive.folder
        self._view, self._table = view, view.landed
        self._day, self._as_of, self._result = day, as_of, result

    def run(self, partitions: list[Partition]) -> None:
        rows = self._read(partitions)
        wanted = {symbol: content.content(table) for symbol, table in rows.items()}
        # without the underlyings that turn out to have other rows
        while rows and not self._restore(rows, wanted):
            pass

    def _restore(self, rows: dict[str, pa.Table], wanted: Mapping[str, Content]) -> bool:
        """Insert rows in one transaction, or remove underlyings with other rows from `rows`."""
        with self._warehouse.connect() as conn:
            before = landed.contents(conn, self._table, self._day, list(rows))
            missing = [symbol for symbol in rows if before.get(symbol) != wanted[symbol]]
            count = self._insert(conn, [rows[symbol] for symbol in missing]) if missing else 0
            after = landed.contents(conn, self._table, self._day, missing)
            other = [symbol for symbol in missing if after.get(symbol) != wanted[symbol]]
            if other or self._result.dry_run:
                conn.rollback()
            else:
                self._mark(conn, missing)
        for symbol in other:
            del rows[symbol]
            self._result.other.append(
                f"{self._view.name} {self._day} {symbol}: the warehouse has "
                f"{before.get(symbol, Content()).rows:,} rows that are not the archived "
                f"{wanted[symbol].rows:,}"
            )
        if not other:
            self._result.rows += count
            self._result.partitions += len(missing)
            self._result.standing += len(rows) - len(missing)
        return not other

    def _read(self, partitions: list[Partition]) -> dict[str, pa.Table]:
        """Landed rows by underlying, from files that hold what was archived."""
        tables: dict[str, list[pa.Table]] = {}
        damaged: set[str] = set()
        for in_file in ledger.group_by_path(partitions).values():
            try:
                for (_, symbol, _), pieces in self._read_file(in_file).items():
                    tables.setdefault(symbol, []).extend(pieces)
            except Damaged as error:
                self._result.damaged.append(str(error))
                damaged.update(partition.underlying for partition in in_file)
        return {
            symbol: pa.concat_tables(
                landed.rows_from_file(self._view, self._table, rows) for rows in pieces
            )
            for symbol, pieces in tables.items()
            if symbol not in damaged
        }

    def _read_file(self, partitions: list[Partition]) -> dict[Place, list[pa.Table]]:
        first, path = partitions[0], self._folder.path(partitions[0].path)
        check_size(path, first.size_bytes, Damaged)
        expected = {partition.place: partition.content for partition in partitions}
        pieces: dict[Place, list[pa.Table]] = {}
        actual: dict[Place, Content] = {}
        own_place, day = (None, self._day) if first.is_compacted else (first.place, None)
        for place, rows, piece in folders.read_partitions(path, own_place, day):
            if place in expected:
                pieces.setdefault(place, []).append(rows)
                actual[place] = actual.get(place, Content()) + piece
        if wrong := content.difference(expected, actual):
            raise Damaged(path, f"its rows for {wrong} differ from the archived ones")
        return pieces

    def _insert(self, conn: psycopg.Connection, tables: Iterable[pa.Table]) -> int:
        name, columns = self._table.qualified, ", ".join(self._table.stored.names)
        conn.execute(f"create temp table _restored (like {name}) on commit drop".encode())
        copy_rows = f"copy _restored ({columns}) from stdin (format csv)"
        options = csv.WriteOptions(include_header=False, quoting_style="all_valid")
        with conn.cursor().copy(copy_rows.encode()) as copy:
            for rows in tables:
                text = io.BytesIO()
                csv.write_csv(rows, text, options)
                copy.write(text.getvalue())
        return landed.insert(conn, self._table, "_restored")

    def _mark(self, conn: psycopg.Connection, symbols: list[str]) -> None:
        # for every market schema: they share the landed rows
        conn.execute(
            "update ops.archive_partitions set dropped_at = null, restored_at = %s "
            "where view_name = %s and partition_date = %s and underlying = any(%s)",
            (self._as_of, self._view.name, self._day, symbols),
        )
