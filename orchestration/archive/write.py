"""Archive closed days that are not archived yet, or changed since."""

import contextlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg
import pyarrow as pa

from loaders.errors import DataQualityError
from loaders.progress import Reporter
from loaders.settings import Settings
from loaders.warehouse import migrate
from loaders.warehouse.postgres import Warehouse
from orchestration.archive import closed, compaction, damage, ledger, parts, rows, swap
from orchestration.archive import folder as folders
from orchestration.archive.content import Content
from orchestration.archive.folder import Damaged, Folder
from orchestration.archive.ledger import File, Partition
from orchestration.archive.lock import archive_lock
from orchestration.archive.rows import Place
from orchestration.archive.swap import New
from orchestration.archive.views import VIEWS, View, find_view

_RENAME_BATCH = 100  # files renamed together


@dataclass(frozen=True)
class Request:
    """What to archive; by default everything closed. `compact` None: as the settings say.

    `check` reads every file of the archive.
    """

    views: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    symbols: tuple[str, ...] | None = None
    compact: bool | None = None
    check: bool = False
    dry_run: bool = False


@dataclass
class ArchiveResult:
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

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"exit_code": self.exit_code}


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
    folder = folders.archive_folder(settings, warehouse)
    schema = warehouse.inner_schema("options")
    views = [find_view(name) for name in request.views] or list(VIEWS)
    result = ArchiveResult(request.dry_run, str(folder.root))
    own = migrate.warehouse_id(warehouse)
    with archive_lock(warehouse):
        folder.require_own(own)
        if not request.dry_run:
            result.finished = swap.finish_started(warehouse, folder, schema)
        damaged = damage.find_damaged(warehouse, folder, schema, request.check, reporter)
        if not request.dry_run:
            folder.make(own, f"{warehouse.label}, home {settings.home} on {socket.gethostname()}")
        with warehouse.connect() as conn:
            closed.set_verdict_time(conn, warehouse, as_of)
            result.waiting = closed.list_waiting_days(conn, warehouse, as_of)
            for view in views:
                closed.mark_changed(conn, warehouse, view, view.fingerprint(conn, warehouse))
            plan = [(v, _plan(conn, warehouse, v, request, damaged, as_of)) for v in views]
            if request.dry_run:
                conn.rollback()
        for view, days in plan:
            result.planned[view.name] = sum(map(len, days.values()))
        if request.dry_run:
            result.damaged = sorted(map(str, damaged.values()))
            return result
        for view in views:
            _replace_damaged(settings, warehouse, folder, view, damaged, result)
        for view, days in plan:
            reporter.start(view.name, result.planned[view.name])
            for day, symbols in days.items():
                archived = _Day(settings, warehouse, folder, view, day, damaged, result)
                archived.run(symbols)
                reporter.advance(view.name, len(symbols))
        result.damaged = sorted(map(str, damaged.values()))
        result.compacted, lost = compaction.compact(
            settings, warehouse, folder, views, request.compact, as_of, reporter
        )
        result.damaged = sorted({*result.damaged, *map(str, lost)})
        if request.check:
            result.unknown = damage.find_unknown(warehouse, folder, schema)
    return result


def _plan(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    view: View,
    request: Request,
    damaged: Mapping[str, Damaged],
    as_of: datetime,
) -> dict[date, list[str]]:
    schema = warehouse.inner_schema("options")
    lost = ledger.find_partitions(conn, schema, view.name, paths=sorted(damaged))
    return closed.list_days_to_check(
        conn,
        warehouse,
        view,
        as_of,
        # a dropped day cannot be written again
        again=[(p.partition_date, p.underlying) for p in lost if not p.is_compacted],
        days=(request.since, request.until),
        symbols=request.symbols,
    )


def _replace_damaged(
    settings: Settings,
    warehouse: Warehouse,
    folder: Folder,
    view: View,
    damaged: dict[str, Damaged],
    result: ArchiveResult,
) -> None:
    """Replace damaged compacted files by small ones where the warehouse has all their rows."""
    schema = warehouse.inner_schema("options")
    with warehouse.connect() as conn:
        held = ledger.find_partitions(conn, schema, view.name, paths=sorted(damaged))
    by_path: dict[str, dict[date, list[Partition]]] = {}
    for one in held:
        if one.is_compacted:
            by_path.setdefault(one.path, {}).setdefault(one.partition_date, []).append(one)
    for path, by_day in by_path.items():
        days = [
            (_Day(settings, warehouse, folder, view, day, damaged, result), of_day)
            for day, of_day in by_day.items()
        ]
        if not all(day.has_rows(of_day) for day, of_day in days):
            continue
        new: dict[Place, New] = {}
        try:
            for day, of_day in days:
                new |= day.write_files(of_day)
        except BaseException:
            parts.discard(folder, new.values())
            raise
        if len(new) < sum(map(len, by_day.values())):  # rows were deleted meanwhile
            parts.discard(folder, new.values())
            continue
        swap.replace_files(warehouse, folder, schema, [path], new.values())
        del damaged[path]


class _Day:
    """Archive a day of a view: compare with the ledger, write what differs, read back, record."""

    def __init__(
        self,
        settings: Settings,
        warehouse: Warehouse,
        folder: Folder,
        view: View,
        day: date,
        damaged: dict[str, Damaged],
        result: ArchiveResult,
    ) -> None:
        self._settings, self._warehouse, self._folder = settings, warehouse, folder
        self._view, self._day, self._damaged, self._result = view, day, damaged, result
        self._schema = warehouse.inner_schema("options")
        self._written_files: list[New] = []
        self._moved: dict[Place, New] = {}
        self._left: set[str] = set()  # underlyings that the next run checks again

    def run(self, symbols: Sequence[str]) -> None:
        view, day = self._view, self._day
        with self._warehouse.connect() as conn:
            conn.execute("set transaction isolation level repeatable read, read only")
            recorded = {
                p.place: p
                for p in ledger.find_partitions(
                    conn, self._schema, view.name, day=day, symbols=symbols
                )
            }
            columns = view.schema(conn, self._warehouse)
            have = rows.contents(conn, self._warehouse, view, columns, day, symbols)
            lost = rows.count_lossy_rows(conn, self._warehouse, view, day, symbols)
            for symbol, count in lost.items():
                self._left.add(symbol)
                self._result.refused.append(
                    f"{view.name} {day} {symbol}: the view does not show {count} rows as landed"
                )
            wanted = {
                place: one
                for place, one in have.items()
                if place[1] not in lost and self._must_write(recorded.get(place), one)
            }
            try:
                if wanted:
                    self._write(conn, columns, wanted, recorded)
            except Exception:
                # files read back so far are good; the disk may have no room for more
                with contextlib.suppress(Exception):
                    self._rename_written()
                parts.discard(self._folder, [*self._written_files, *self._moved.values()])
                raise
        self._rename_written()
        self._move(recorded)
        seen = [symbol for symbol in symbols if symbol not in self._left]
        with self._warehouse.connect() as conn:
            ledger.mark_stale(conn, self._schema, view.name, day, seen, stale=False)

    def has_rows(self, held: Sequence[Partition]) -> bool:
        """Whether the warehouse has all rows of these partitions in archivable form."""
        symbols = [one.underlying for one in held]
        with self._warehouse.connect() as conn:
            columns = self._view.schema(conn, self._warehouse)
            have = rows.contents(conn, self._warehouse, self._view, columns, self._day, symbols)
            lost = rows.count_lossy_rows(conn, self._warehouse, self._view, self._day, symbols)
        return not lost and all(
            one.place in have
            and (self._view.landed is None or have[one.place].rows >= one.row_count)
            for one in held
        )

    def write_files(self, held: Sequence[Partition]) -> dict[Place, New]:
        """Write files of these partitions as the warehouse has them now."""
        places, symbols = {one.place for one in held}, [one.underlying for one in held]
        new_files: dict[Place, New] = {}
        try:
            with self._warehouse.connect() as conn:
                conn.execute("set transaction isolation level repeatable read, read only")
                columns = self._view.schema(conn, self._warehouse)
                of_day = (conn, self._warehouse, self._view, columns, self._day, symbols)
                have = rows.contents(*of_day)
                for place, table in rows.partitions(*of_day):
                    if place in places:
                        new_files[place] = self._write_file(place, table, have[place])
        except BaseException:
            parts.discard(self._folder, new_files.values())
            raise
        return new_files

    def _must_write(self, recorded: Partition | None, one: Content) -> bool:
        if recorded is None:
            return True
        if self._view.landed is not None and one.rows < recorded.row_count:
            self._left.add(recorded.underlying)
            self._result.narrower.append(
                f"{self._view.name} {recorded.partition_date} {recorded.underlying}: "
                f"the warehouse has {one.rows:,} of {recorded.row_count:,} rows"
            )
            return False
        is_lost = recorded.path in self._damaged and not recorded.is_compacted
        if recorded.content == one and not is_lost:
            self._result.unchanged += 1
            return False
        return True

    def _write(
        self,
        conn: psycopg.Connection,
        columns: pa.Schema,
        wanted: Mapping[Place, Content],
        recorded: Mapping[Place, Partition],
    ) -> None:
        symbols = sorted({place[1] for place in wanted})
        stored = rows.partitions(conn, self._warehouse, self._view, columns, self._day, symbols)
        for place, table in stored:
            if place not in wanted:
                continue
            new = self._write_file(place, table, wanted[place])
            before = recorded.get(place)
            if before is not None and before.path != new.file.path:
                self._moved[place] = new
                continue
            self._written_files.append(new)
            if len(self._written_files) >= _RENAME_BATCH:
                self._rename_written()

    def _write_file(self, place: Place, table: pa.Table, wanted: Content) -> New:
        """Write a file under its unfinished name; read it back and compare with the warehouse."""
        name = folders.partition_name(self._view.name, place)
        path = self._folder.path(name)
        facts = dict(zip(("date", "underlying", "exchange"), place, strict=True))
        facts |= {"view": self._view.name, "rows": wanted.rows, "hash": wanted.hash}
        with self._folder.usable():
            size = folders.write(path, table, facts)
        actual = folders.read_contents(folders.unfinished(path), place).get(place, Content())
        if actual != wanted:
            folders.unfinished(path).unlink()
            raise DataQualityError(
                f"{path}: what was written has {actual.rows:,} rows, hash {actual.hash}; "
                f"the warehouse has {wanted.rows:,}, hash {wanted.hash}",
                hint="the archive is unchanged; please report it",
            )
        self._result.files += 1
        self._result.rows += wanted.rows
        self._result.bytes += size
        file = File(name, self._view.name, "snappy", wanted.rows, wanted.hash, size)
        return New(file, {place: wanted})

    def _rename_written(self) -> None:
        """Rename files that were read back and record them. After a cut the next run repeats it."""
        paths = [self._folder.path(new.file.path) for new in self._written_files]
        with self._folder.usable():
            folders.rename_all(paths, self._folder.root)
        with self._warehouse.connect() as conn:
            for new in self._written_files:
                ledger.record(conn, self._schema, new.file, new.contents.items())
                self._damaged.pop(new.file.path, None)
        self._written_files = []

    def _move(self, recorded: Mapping[Place, Partition]) -> None:
        """Remove changed rows from the compacted files they are in."""
        if not self._moved:
            return
        paths = {recorded[place].path for place in self._moved}
        try:
            compaction.remove_partitions(
                self._settings, self._warehouse, self._folder, self._view.name, paths, self._moved
            )
        except Damaged as error:
            self._left.update(place[1] for place in self._moved)
            self._damaged[str(error)] = error
