"""Archive closed days that are not archived yet, or changed since."""

import contextlib
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import psycopg
import pyarrow as pa

from loaders.engine.progress import Reporter
from loaders.files.whole_file import unfinished
from loaders.settings import Settings
from orchestration.archive import closed, compaction, damage, ledger, rows
from orchestration.archive import folder as folders
from orchestration.archive.content import Content
from orchestration.archive.folder import Damaged
from orchestration.archive.ledger import File, New, Partition
from orchestration.archive.store import Archive, Result, open_archive
from orchestration.archive.views import PLACE, VIEWS, Place, View, find_view
from quotemill.errors import DataQualityError
from quotemill.warehouse.postgres import Warehouse

_RENAME_BATCH = 100  # files renamed together


@dataclass(frozen=True)
class Request:
    """The days to archive; by default everything closed. `compact` None: the weeks that are over.

    `check` reads every file of the archive.
    """

    views: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    symbols: tuple[str, ...] | None = None
    compact: bool | None = None
    check: bool = False
    dry_run: bool = False
    target_bytes: int = compaction.TARGET_BYTES


@dataclass
class ArchiveResult(Result):
    """Files, rows and bytes written, and what was left.

    unchanged: partitions that were compared and are equal
    finished:  replacements that an earlier run had left unfinished
    waiting:   past days without a verdict
    narrower:  partitions with fewer rows in the warehouse than in the archive; left alone
    damaged:   files that are not what was written, with the reason
    unknown:   with `check`, files that the ledger does not list; their rows may be in others too
    refused:   partitions whose view does not show the rows as landed
    """

    dry_run: bool = False
    folder: str = ""
    files: int = 0
    rows: int = 0
    bytes: int = 0
    unchanged: int = 0
    planned: dict[str, int] = field(default_factory=dict)
    finished: int = 0
    waiting: list[date] = field(default_factory=list)
    narrower: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    compacted: list[compaction.Compacted] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        wrong = self.narrower or self.damaged or self.refused or self.unknown
        return DataQualityError.exit_code if wrong else 0


def archive(
    settings: Settings,
    warehouse: Warehouse,
    request: Request,
    reporter: Reporter,
    as_of: datetime,
) -> ArchiveResult:
    """Archive what is closed at `as_of`, then compact what is due.

    Raises UsageError before the first build, SettingsError for an unusable folder, LockHeldError.
    """
    views = [find_view(name) for name in request.views] or list(VIEWS)
    with open_archive(settings, warehouse, dry_run=request.dry_run) as opened:
        folder = opened.folder
        result = ArchiveResult(request.dry_run, str(folder.root), finished=opened.finished)
        damaged = damage.find_damaged(opened, request.check, reporter)
        if not request.dry_run:
            label = f"{warehouse.label}, home {settings.home} on {socket.gethostname()}"
            folder.make(opened.warehouse_id, label)
        with warehouse.connect() as conn:
            closed.set_verdict_time(conn, warehouse, as_of)
            result.waiting = closed.list_waiting_days(conn, warehouse, as_of)
            for view in views:
                closed.mark_changed(conn, warehouse, view, view.fingerprint(conn, warehouse))
            plan = {v.name: _plan(conn, opened, v, request, damaged, as_of) for v in views}
            if request.dry_run:
                conn.rollback()
        result.planned = {name: sum(map(len, days.values())) for name, days in plan.items()}
        if not request.dry_run:
            for view in views:
                reporter.start(view.name, result.planned[view.name])
                writing = _Writing(opened, view, damaged, result)
                for day, symbols in plan[view.name].items():
                    writing.write_day(day, symbols)
                    reporter.advance(view.name, len(symbols))
                writing.move_rows()
            result.compacted, lost = compaction.compact(
                opened, views, request.compact, as_of, reporter, request.target_bytes
            )
            damaged |= {str(error): error for error in lost}
            if request.check:
                result.unknown = damage.find_unknown(opened)
        result.damaged = sorted({str(error) for error in damaged.values()})
    return result


def _plan(
    conn: psycopg.Connection,
    archive: Archive,
    view: View,
    request: Request,
    damaged: Mapping[str, Damaged],
    as_of: datetime,
) -> dict[date, list[str]]:
    """Days and underlyings to compare with the archive, those of damaged files included."""
    lost = ledger.find_partitions(conn, archive.schema, view.name, paths=sorted(damaged))
    # the warehouse must have all rows of a large file to replace it
    hopeless = {p.path for p in lost if p.is_compacted and p.dropped_at is not None}
    return closed.list_days_to_check(
        conn,
        archive.warehouse,
        view,
        as_of,
        again=[(p.partition_date, p.underlying) for p in lost if p.path not in hopeless],
        days=(request.since, request.until),
        symbols=request.symbols,
    )


class _Writing:
    """Archive days of a view: compare with the ledger, write what differs, read back, record."""

    def __init__(
        self, archive: Archive, view: View, damaged: dict[str, Damaged], result: ArchiveResult
    ) -> None:
        self._archive, self._view = archive, view
        self._damaged, self._result = damaged, result
        self._written: list[New] = []
        # by path and partition, new files for rows that are in a large file
        self._moved: dict[str, dict[Place, New]] = {}
        self._left: set[str] = set()  # underlyings of the day that the next run checks again

    def write_day(self, day: date, symbols: Sequence[str]) -> None:
        """Write the partitions of a day that differ. Rows of large files wait for `move_rows`."""
        view, schema, warehouse = self._view, self._archive.schema, self._archive.warehouse
        self._left = set()
        with warehouse.lend(warehouse.connect) as conn:
            conn.execute("set transaction isolation level repeatable read, read only")
            recorded = {
                partition.place: partition
                for partition in ledger.find_partitions(
                    conn, schema, view.name, day=day, symbols=symbols
                )
            }
            stored = rows.contents(conn, warehouse, view, day, symbols)
            lost = rows.count_lossy_rows(conn, warehouse, view, day, symbols)
            for symbol, count in lost.items():
                self._left.add(symbol)
                self._result.refused.append(
                    f"{view.name} {day} {symbol}: the view does not show {count} rows as landed"
                )
            wanted = {
                place: content
                for place, content in stored.items()
                if place[1] not in lost and self._must_write(recorded.get(place), content)
            }
            try:
                if wanted:
                    self._write(conn, wanted, recorded)
            except Exception:
                # files read back so far are good; the disk may have no room for more
                with contextlib.suppress(Exception):
                    self._rename_written()
                raise
        self._rename_written()
        with warehouse.connect() as conn:
            equal = [symbol for symbol in symbols if symbol not in self._left]
            ledger.mark_stale(conn, schema, view.name, day, equal, stale=False)

    def move_rows(self) -> None:
        """Remove changed and recovered rows from the large files they are in."""
        archive, view = self._archive, self._view.name
        with archive.warehouse.connect() as conn:
            partitions = ledger.find_partitions(
                conn, archive.schema, view, paths=sorted(self._moved)
            )
        for path, in_file in ledger.group_by_path(partitions).items():
            moved = self._moved[path]
            if path in self._damaged and len(moved) < len(in_file):
                continue
            try:
                compaction.rewrite(archive, view, in_file[0].month, in_file, moved)
            except Damaged as error:
                self._damaged[path] = error
            else:
                self._count(moved.values())
                self._damaged.pop(path, None)

    def _must_write(self, recorded: Partition | None, stored: Content) -> bool:
        if recorded is None:
            return True
        if self._view.landed is not None and stored.rows < recorded.row_count:
            self._left.add(recorded.underlying)
            self._result.narrower.append(
                f"{self._view.name} {recorded.partition_date} {recorded.underlying}: "
                f"the warehouse has {stored.rows:,} of {recorded.row_count:,} rows"
            )
            return False
        if recorded.content == stored and recorded.path not in self._damaged:
            self._result.unchanged += 1
            return False
        return True

    def _write(
        self,
        conn: psycopg.Connection,
        wanted: Mapping[Place, Content],
        recorded: Mapping[Place, Partition],
    ) -> None:
        day = next(iter(wanted))[0]
        symbols = sorted({place[1] for place in wanted})
        for place, table in rows.partitions(
            conn, self._archive.warehouse, self._view, day, symbols
        ):
            if place not in wanted:
                continue
            new = self._write_file(place, table, wanted[place])
            before = recorded.get(place)
            if before is not None and before.is_compacted:
                self._moved.setdefault(before.path, {})[place] = new
                self._left.add(before.underlying)
                continue
            self._written.append(new)
            if len(self._written) >= _RENAME_BATCH:
                self._rename_written()

    def _write_file(self, place: Place, table: pa.Table, wanted: Content) -> New:
        """Write a file under its unfinished name; read it back and compare with the warehouse."""
        folder, view = self._archive.folder, self._view.name
        name = folders.partition_name(view, place)
        path = folder.path(name)
        facts = dict(zip(PLACE, place, strict=True))
        facts |= {"view": view, "rows": wanted.rows, "hash": wanted.hash}
        schema = folders.describe_schema(table.schema, facts)
        with folder.usable(), folder.start_file(name, schema, "snappy") as writer:
            writer.write(table)
            size = writer.close()
        actual = folders.read_contents(unfinished(path), place).get(place, Content())
        if actual != wanted:
            raise DataQualityError(
                f"{path}: what was written has {actual.rows:,} rows, hash {actual.hash}; "
                f"the warehouse has {wanted.rows:,}, hash {wanted.hash}",
                hint="Report this bug: the archive is unchanged.",
            )
        return New(File(name, view, "snappy", wanted.rows, wanted.hash, size), {place: wanted})

    def _rename_written(self) -> None:
        """Rename files that were read back and record them. After a cut the next run repeats it."""
        archive = self._archive
        archive.confirm()
        archive.folder.finish(new.file.path for new in self._written)
        with archive.warehouse.connect() as conn:
            for new in self._written:
                ledger.record(conn, archive.schema, new)
                self._damaged.pop(new.file.path, None)
        self._count(self._written)
        self._written = []

    def _count(self, written: Iterable[New]) -> None:
        for new in written:
            self._result.files += 1
            self._result.rows += new.file.row_count
            self._result.bytes += new.file.size_bytes
