"""Restore archived days: insert missing rows, and only where the result is what was archived."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg
import pyarrow as pa
from pyarrow import csv

from loaders.errors import DataQualityError, UsageError
from loaders.progress import Reporter
from loaders.settings import Settings
from loaders.warehouse import migrate
from loaders.warehouse.postgres import Warehouse
from orchestration.archive import content, landed, ledger, parts, swap
from orchestration.archive import folder as folders
from orchestration.archive.content import Content
from orchestration.archive.folder import Damaged, Folder
from orchestration.archive.ledger import Partition
from orchestration.archive.lock import archive_lock
from orchestration.archive.rows import Place
from orchestration.archive.views import View, find_view


@dataclass(frozen=True)
class Request:
    """Days from `since` to `until`, both included, and underlyings; None: all archived ones."""

    view: str
    since: date
    until: date
    symbols: tuple[str, ...] | None = None
    dry_run: bool = False


@dataclass
class RestoreResult:
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

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"exit_code": self.exit_code}


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
            hint="restore chain_intraday, then quotemill build",
        )
    folder = folders.archive_folder(settings, warehouse)
    schema = warehouse.inner_schema("options")
    result = RestoreResult(view.name, request.dry_run)
    with archive_lock(warehouse):
        folder.require_own(migrate.warehouse_id(warehouse))
        if not request.dry_run:
            swap.finish_started(warehouse, folder, schema)
        with warehouse.connect() as conn:
            days: dict[date, list[Partition]] = {}
            for one in ledger.find_partitions(conn, schema, view.name, symbols=request.symbols):
                if request.since <= one.partition_date <= request.until:
                    days.setdefault(one.partition_date, []).append(one)
        if not days:
            symbols = f" of {', '.join(request.symbols)}" if request.symbols else ""
            raise UsageError(
                f"nothing of {view.name}{symbols} is archived from {request.since} "
                f"to {request.until}",
                hint="ops.archive_partitions lists what is archived",
            )
        reporter.start(view.name, len(days))
        for day, held in days.items():
            _Day(warehouse, folder, view, day, as_of, result).run(held)
            reporter.advance(view.name, 1)
    return result


class _Day:
    """Restore the partitions of a day, by underlying."""

    def __init__(
        self,
        warehouse: Warehouse,
        folder: Folder,
        view: View,
        day: date,
        as_of: datetime,
        result: RestoreResult,
    ) -> None:
        self._warehouse, self._folder, self._view = warehouse, folder, view
        self._day, self._as_of, self._result = day, as_of, result

    def run(self, held: list[Partition]) -> None:
        given = self._read(held)
        wanted = {symbol: content.content(table) for symbol, table in given.items()}
        while given:
            with self._warehouse.connect() as conn:
                before = landed.contents(conn, self._view, self._day, list(given))
                missing = {s: rows for s, rows in given.items() if before.get(s) != wanted[s]}
                count = self._insert(conn, missing)
                after = landed.contents(conn, self._view, self._day, list(missing))
                other = [symbol for symbol in missing if after.get(symbol) != wanted[symbol]]
                if other:
                    conn.rollback()
                    self._report_other(other, before, wanted)
                    given = {s: rows for s, rows in given.items() if s not in other}
                    continue
                if self._result.dry_run:
                    conn.rollback()
                else:
                    self._mark(conn, list(missing))
            self._result.rows += count
            self._result.partitions += len(missing)
            self._result.standing += len(given) - len(missing)
            return

    def _read(self, held: list[Partition]) -> dict[str, pa.Table]:
        """Landed rows by underlying, from files that hold what was archived."""
        tables: dict[str, list[pa.Table]] = {}
        damaged: set[str] = set()
        by_path: dict[str, list[Partition]] = {}
        for one in held:
            by_path.setdefault(one.path, []).append(one)
        for of_file in by_path.values():
            try:
                for place, rows in self._partitions(of_file).items():
                    tables.setdefault(place[1], []).append(landed.rows_from_file(self._view, rows))
            except Damaged as error:
                self._result.damaged.append(str(error))
                damaged.update(one.underlying for one in of_file)
        return {s: pa.concat_tables(t) for s, t in tables.items() if s not in damaged}

    def _partitions(self, held: list[Partition]) -> dict[Place, pa.Table]:
        path = self._folder.path(held[0].path)
        folders.check_size(path, held[0].size_bytes)
        pieces: dict[Place, list[pa.Table]] = {one.place: [] for one in held}
        is_compacted = held[0].is_compacted
        for rows in folders.read_batches(path, self._day if is_compacted else None):
            for place, piece in (
                parts.split_by_place(rows) if is_compacted else [(held[0].place, rows)]
            ):
                if place in pieces:
                    pieces[place].append(piece)
        tables = {place: pa.concat_tables(those) for place, those in pieces.items() if those}
        for one in held:
            if one.place not in tables or content.content(tables[one.place]) != one.content:
                named = " ".join(map(str, one.place))
                raise Damaged(path, f"it does not give back {named} as archived")
        return tables

    def _insert(self, conn: psycopg.Connection, given: Mapping[str, pa.Table]) -> int:
        if not given:
            return 0
        table = self._view.landed
        assert table is not None
        conn.execute(
            f"create temp table _restored (like {table.qualified}) on commit drop".encode()
        )
        columns = ", ".join(table.stored.names)
        with conn.cursor().copy(
            f"copy _restored ({columns}) from stdin (format csv)".encode()
        ) as to:
            for rows in given.values():
                text = io.BytesIO()
                csv.write_csv(
                    rows, text, csv.WriteOptions(include_header=False, quoting_style="all_valid")
                )
                to.write(text.getvalue())
        return landed.insert(conn, self._view, "_restored")

    def _mark(self, conn: psycopg.Connection, symbols: list[str]) -> None:
        # for every market schema: they share the landed rows
        conn.execute(
            "update ops.archive_partitions set dropped_at = null, restored_at = %s "
            "where view_name = %s and partition_date = %s and underlying = any(%s)",
            (self._as_of, self._view.name, self._day, symbols),
        )

    def _report_other(
        self, other: list[str], before: Mapping[str, Content], wanted: Mapping[str, Content]
    ) -> None:
        self._result.other += [
            f"{self._view.name} {self._day} {symbol}: the warehouse has "
            f"{before.get(symbol, Content()).rows:,} rows that are not the archived "
            f"{wanted[symbol].rows:,}"
            for symbol in other
        ]
