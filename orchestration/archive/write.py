"""Write what is closed and not archived yet, or changed since."""

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
from orchestration.archive.views import VIEWS, View, find

_AT_ONCE = 100  # files that get their names together


@dataclass(frozen=True)
class Request:
    """What to archive; by default all that is closed. `compact` None: what the settings say.

    `check` reads every file of the archive anew.
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
    """Files, rows and bytes that were written, partitions that were looked at and stand. `waiting` are days
    that are over and not judged; `narrower` partitions of which the warehouse has fewer rows than the archive,
    which were left; `damaged` files that are not what was written, with why; `unknown`, where all are read, files
    in the folder that the ledger does not know: their rows may be in others too."""

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
    """Archive what is closed at `as_of`, then compact where that is due.

    Raises UsageError before the first build, SettingsError for a folder that cannot be used, LockHeldError.
    """
    folder = folders.folder_of(settings, warehouse)
    schema = warehouse.inner_schema("options")
    views = [find(name) for name in request.views] or list(VIEWS)
    result = ArchiveResult(request.dry_run, str(folder.root))
    own = migrate.warehouse_id(warehouse)
    with archive_lock(warehouse):
        folder.require_own(own)
        if not request.dry_run:
            result.finished = swap.finish_begun(warehouse, folder, schema)
        damaged = damage.damaged(warehouse, folder, schema, request.check, reporter)
        if not request.dry_run:
            folder.make(own, f"{warehouse.label}, home {settings.home} on {socket.gethostname()}")
        with warehouse.connect() as conn:
            closed.judge_at(conn, warehouse, as_of)
            result.waiting = closed.waiting(conn, warehouse, as_of)
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
            _rescue(settings, warehouse, folder, view, damaged, result)
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
            result.unknown = damage.unknown(warehouse, folder, schema)
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
    lost = ledger.find(conn, schema, view.name, paths=sorted(damaged))
    return closed.to_look_at(
        conn,
        warehouse,
        view,
        as_of,
        # one that was dropped cannot be written anew
        again=[(p.partition_date, p.underlying) for p in lost if not p.is_compacted],
        days=(request.since, request.until),
        symbols=request.symbols,
    )


def _rescue(
    settings: Settings,
    warehouse: Warehouse,
    folder: Folder,
    view: View,
    damaged: dict[str, Damaged],
    result: ArchiveResult,
) -> None:
    """Put small files in the place of large ones that are damaged, where the warehouse has all their rows."""
    schema = warehouse.inner_schema("options")
    with warehouse.connect() as conn:
        held = ledger.find(conn, schema, view.name, paths=sorted(damaged))
    by_path: dict[str, dict[date, list[Partition]]] = {}
    for one in held:
        if one.is_compacted:
            by_path.setdefault(one.path, {}).setdefault(one.partition_date, []).append(one)
    for path, by_day in by_path.items():
        days = [
            (_Day(settings, warehouse, folder, view, day, damaged, result), of_day)
            for day, of_day in by_day.items()
        ]
        if not all(day.has(of_day) for day, of_day in days):
            continue
        new: dict[Place, New] = {}
        try:
            for day, of_day in days:
                new |= day.anew(of_day)
        except BaseException:
            parts.discard(folder, new.values())
            raise
        if len(new) < sum(map(len, by_day.values())):  # rows went at this moment
            parts.discard(folder, new.values())
            continue
        swap.swap(warehouse, folder, schema, [path], new.values())
        del damaged[path]


class _Day:
    """A day of a view: compared with the ledger, what differs written, read back and recorded."""

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
        self._left: set[str] = set()  # underlyings that the next run has to look at again

    def run(self, symbols: Sequence[str]) -> None:
        view, day = self._view, self._day
        with self._warehouse.connect() as conn:
            conn.execute("set transaction isolation level repeatable read, read only")
            recorded = {
                p.place: p
                for p in ledger.find(conn, self._schema, view.name, day=day, symbols=symbols)
            }
            columns = view.schema(conn, self._warehouse)
            have = rows.contents(conn, self._warehouse, view, columns, day, symbols)
            lost = rows.not_given_back(conn, self._warehouse, view, day, symbols)
            for symbol, count in lost.items():
                self._left.add(symbol)
                self._result.refused.append(
                    f"{view.name} {day} {symbol}: the view does not show {count} rows as they were landed"
                )
            wanted = {
                place: one
                for place, one in have.items()
                if place[1] not in lost and self._is_to_write(recorded.get(place), one)
            }
            try:
                if wanted:
                    self._write(conn, columns, wanted, recorded)
            except Exception:
                # what was read back until then is good; the disk may have no room for more
                with contextlib.suppress(Exception):
                    self._put_in_place()
                parts.discard(self._folder, [*self._written_files, *self._moved.values()])
                raise
        self._put_in_place()
        self._move(recorded)
        seen = [symbol for symbol in symbols if symbol not in self._left]
        with self._warehouse.connect() as conn:
            ledger.mark(conn, self._schema, view.name, day, seen, stale=False)

    def has(self, held: Sequence[Partition]) -> bool:
        """Does the warehouse have the rows of these partitions, and are they such as a file gives back?"""
        symbols = [one.underlying for one in held]
        with self._warehouse.connect() as conn:
            columns = self._view.schema(conn, self._warehouse)
            have = rows.contents(conn, self._warehouse, self._view, columns, self._day, symbols)
            lost = rows.not_given_back(conn, self._warehouse, self._view, self._day, symbols)
        return not lost and all(
            one.place in have
            and (self._view.landed is None or have[one.place].rows >= one.row_count)
            for one in held
        )

    def anew(self, held: Sequence[Partition]) -> dict[Place, New]:
        """Files of these partitions, as the warehouse has them now."""
        places, symbols = {one.place for one in held}, [one.underlying for one in held]
        found: dict[Place, New] = {}
        try:
            with self._warehouse.connect() as conn:
                conn.execute("set transaction isolation level repeatable read, read only")
                columns = self._view.schema(conn, self._warehouse)
                of_day = (conn, self._warehouse, self._view, columns, self._day, symbols)
                have = rows.contents(*of_day)
                for place, table in rows.partitions(*of_day):
                    if place in places:
                        found[place] = self._written(place, table, have[place])
        except BaseException:
            parts.discard(self._folder, found.values())
            raise
        return found

    def _is_to_write(self, recorded: Partition | None, one: Content) -> bool:
        if recorded is None:
            return True
        if self._view.landed is not None and one.rows < recorded.row_count:
            self._left.add(recorded.underlying)
            self._result.narrower.append(
                f"{self._view.name} {recorded.partition_date} {recorded.underlying}: the warehouse has "
                f"{one.rows:,} of {recorded.row_count:,} rows"
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
        found = rows.partitions(conn, self._warehouse, self._view, columns, self._day, symbols)
        for place, table in found:
            if place not in wanted:
                continue
            new = self._written(place, table, wanted[place])
            before = recorded.get(place)
            if before is not None and before.path != new.file.path:
                self._moved[place] = new
                continue
            self._written_files.append(new)
            if len(self._written_files) >= _AT_ONCE:
                self._put_in_place()

    def _written(self, place: Place, table: pa.Table, wanted: Content) -> New:
        """A file under its unfinished name that gives back what the warehouse has."""
        name = folders.partition_name(self._view.name, place)
        path = self._folder.path(name)
        facts = dict(zip(("date", "underlying", "exchange"), place, strict=True))
        facts |= {"view": self._view.name, "rows": wanted.rows, "hash": wanted.hash}
        with self._folder.usable():
            size = folders.write(path, table, facts)
        found = folders.contents_of(folders.unfinished(path), place).get(place, Content())
        if found != wanted:
            folders.unfinished(path).unlink()
            raise DataQualityError(
                f"{path}: what was written gives back {found.rows:,} rows, hash {found.hash}; the warehouse "
                f"has {wanted.rows:,}, hash {wanted.hash}",
                hint="nothing was put in place; please report it",
            )
        self._result.files += 1
        self._result.rows += wanted.rows
        self._result.bytes += size
        file = File(name, self._view.name, "snappy", wanted.rows, wanted.hash, size)
        return New(file, {place: wanted})

    def _put_in_place(self) -> None:
        """Files that were read back get their names, and are recorded. Cut short in between, the next run
        writes them again."""
        paths = [self._folder.path(new.file.path) for new in self._written_files]
        with self._folder.usable():
            folders.settle(paths, self._folder.root)
        with self._warehouse.connect() as conn:
            for new in self._written_files:
                ledger.record(conn, self._schema, new.file, new.contents.items())
                self._damaged.pop(new.file.path, None)
        self._written_files = []

    def _move(self, recorded: Mapping[Place, Partition]) -> None:
        """Take rows that changed out of the compacted files that they are in."""
        if not self._moved:
            return
        paths = {recorded[place].path for place in self._moved}
        try:
            compaction.take_out(
                self._settings, self._warehouse, self._folder, self._view.name, paths, self._moved
            )
        except Damaged as error:
            self._left.update(place[1] for place in self._moved)
            self._damaged[str(error)] = error
