"""Move old trading days from the tick store to the archive.

lock ▶ finish what an earlier command left ▶ per trading day: ticks compared with the index ▶
file, read back ▶ index rows ▶ every BATCH days: ticks leave the store
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa

from loaders.engine.progress import Reporter
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.settings import Settings
from loaders.ticks.open_store import open_store
from loaders.ticks.store import IndexRow, TickStore
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_archive import files
from loaders.tq.tick_archive.due import Due, count_ticks, find_due
from loaders.tq.tick_archive.folder import TickFolder, tick_folder
from loaders.tq.tick_days.ledger import find_lagging, read_ledger, require_same_store
from loaders.tq.tick_days.records import StoreIndex, read_indexed
from loaders.tq.tick_days.repair import FOLLOW_STORE
from loaders.tq.tick_days.schedule import Scheduled, key_text, read_schedule
from loaders.tq.tick_days.verify import require_sound
from loaders.trading_time import SHANGHAI
from loaders.warehouse import migrate
from loaders.warehouse.lock import LoadLock, load_lock
from quotemill.errors import DataQualityError
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError
from quotemill.warehouse.postgres import Warehouse

OLDER_THAN = 60  # days
BATCH = 20  # trading days after which their ticks leave the store
PARTIAL = 6  # exit code

Load = Callable[[LoadRequest], LoadResult]


@dataclass
class TickArchive:
    """The result of an archiving, or its plan.

    before     trading days before it were looked at
    days       trading days that were archived; contract_days, ticks and bytes of them
    held       why trading days stay in the store
    waiting    partitions of QuestDB that stay, and the days that hold them; archived ticks in them
               are not visible
    damaged    days whose ticks are not what the index says, or whose files are lost
    """

    dry_run: bool
    folder: str
    before: date
    days: int = 0
    contract_days: int = 0
    ticks: int = 0
    bytes: int = 0
    held: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        if self.damaged:
            return DataQualityError.exit_code
        return PARTIAL if self.held else 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"exit_code": self.exit_code}


def archive_ticks(
    settings: Settings,
    warehouse: Warehouse,
    load: Load,
    reporter: Reporter,
    *,
    as_of: datetime,
    older_than: int = OLDER_THAN,
    short: bool = False,
    dry_run: bool = False,
) -> TickArchive:
    """Archive trading days of more than so many days ago; `short`: short ones on record too.

    `load` runs the load by which the landed index follows the store's.

    Raises LockHeldError while a load of ticks runs; SettingsError for a folder that cannot be used
    or is another warehouse's; StoreError where the store is away or not sound.
    """
    before = as_of.astimezone(SHANGHAI).date() - timedelta(days=older_than)
    folder = tick_folder(settings)
    result = TickArchive(dry_run, str(folder.root), before)
    with (
        load_lock(warehouse, TICK_LANE) as lock,
        closing(open_store(settings, warehouse)) as store,
    ):
        index = read_own_index(store, warehouse)
        own = migrate.warehouse_id(warehouse)
        folder.require_own(own)
        folder.require_there(index.rows.values())
        run = _Archiving(warehouse, store, index.rows, folder, lock, as_of, result)
        run.check_files(reporter)
        due = run.find_due(settings.tq.varieties, before, short=short)
        if dry_run:
            run.count(due)
        else:
            folder.make(own, warehouse.label)
            run.work(due, reporter)
    if not dry_run:
        follow_index(settings, warehouse, load)
    return result


def read_own_index(store: TickStore, warehouse: Warehouse) -> StoreIndex:
    """The index of a sound store that has what loads stored. Raises StoreError."""
    store.prepare()
    require_sound(store)
    index = StoreIndex(store)
    require_same_store(store.label, warehouse.ask(read_ledger), index.rows)
    return index


def follow_index(settings: Settings, warehouse: Warehouse, load: Load) -> None:
    """Bring raw_tq.symbol_day in line with the store's index."""
    with closing(open_store(settings, warehouse)) as store:
        rows = {row.key: row for row in store.index()}
    if find_lagging(warehouse.ask(read_ledger), rows):
        load(FOLLOW_STORE)


class _Archiving:
    """An archiving under the lock of loads."""

    def __init__(
        self,
        warehouse: Warehouse,
        store: TickStore,
        index: Mapping[DayKey, IndexRow],
        folder: TickFolder,
        lock: LoadLock,
        as_of: datetime,
        result: TickArchive,
    ) -> None:
        self.warehouse, self.store, self.folder = warehouse, store, folder
        self.lock, self.as_of, self.result = lock, as_of, result
        self.index = dict(index)
        self.archived: set[DayKey] = set()  # days whose ticks may leave the store
        self.waiting: dict[str, list[DayKey]] = {}  # partitions that stay, and days that hold them

    def check_files(self, reporter: Reporter) -> None:
        """Take days back whose files are damaged and whose ticks a killed command left there."""
        rows = {row.key: row for row in self.index.values() if row.is_archived}
        if not rows:
            return
        lost = files.find_lost_files(self.folder, (str(row.archive_file) for row in rows.values()))
        why = dict(text.split(": ", 1) for text in lost)
        damage = {
            key: f"{row.archive_file} is lost: {why[str(row.archive_file)]}"
            for key, row in rows.items()
            if row.archive_file in why
        }
        visible = self._count_visible()
        left = [row for key, row in rows.items() if key in visible and key not in damage]
        damage |= {
            key: str(damaged)
            for key, damaged in files.find_damage(self.folder, left, reporter).items()
        }
        self.archived = rows.keys() - damage.keys()
        back = {
            key: rows[key].moved(None, None, self.as_of)
            for key in sorted(damage.keys() & visible.keys())
            if self._is_whole(rows[key], visible[key])
        }
        self.index |= back
        if back and not self.result.dry_run:
            self.lock.confirm()
            self.store.put_index([*back.values()])
        named = sorted(damage.keys() - back.keys())
        self.result.damaged |= {key_text(key): damage[key] for key in named}

    def find_due(self, varieties: Sequence[str], before: date, *, short: bool) -> Due:
        schema = self.warehouse.inner_schema("futures")

        def read(
            conn: psycopg.Connection,
        ) -> tuple[list[Scheduled], dict[tuple[str, date], str]]:
            schedule = [d for d in read_schedule(conn, schema) if d.variety in varieties]
            made = conn.execute(
                "select contract, trading_day, row_hash from raw_tq.tick_minute_day"
            )
            return schedule, {(contract, day): row_hash for contract, day, row_hash in made}

        schedule, minutes = self.warehouse.ask(read)
        no_data = {r.key: str(r.status) for r in self.store.no_data() if r.status != "superseded"}
        due = find_due(self.index.values(), schedule, no_data, minutes, before=before, short=short)
        self.result.held = {str(day): why for day, why in due.held.items()}
        return due

    def count(self, due: Due) -> None:
        for rows in due.days.values():
            self._count([row for row in rows if not row.is_archived])

    def work(self, due: Due, reporter: Reporter) -> None:
        if self.archived:  # a killed command may have left ticks of theirs
            days = [key.trading_day for key in self.archived]
            self._remove(min(days), max(days))
        reporter.start("trading days", len(due.days))
        batch: list[date] = []
        for day, rows in due.days.items():
            if self._archive(day, rows):
                batch.append(day)
            if len(batch) >= BATCH:
                self._remove(batch[0], batch[-1])
                batch = []
            reporter.advance("trading days", 1)
        if batch:
            self._remove(batch[0], batch[-1])
        for name, keys in sorted(self.waiting.items()):
            if holding := [key for key in keys if key not in self.archived]:
                self.result.waiting[name] = _describe(holding)

    def _archive(self, day: date, rows: Sequence[IndexRow]) -> bool:
        """Write the file of a trading day, then its index rows; False where a day is damaged."""
        tables, visible = [], self._count_visible(day)
        for row in rows:
            try:
                tables.append(self._read_day(row, visible[row.key]))
            except DataQualityError as error:
                self.result.damaged[key_text(row.key)] = str(error)
        if len(tables) < len(rows):
            self.result.held[str(day)] = "damaged: `loaders verify tq` names what differs"
            return False
        name = files.file_name(day)
        written = files.write_file(self.folder, name, tables)
        self.result.bytes += written.size
        self.lock.confirm()
        self.store.put_index([row.moved(name, written.sha256, self.as_of) for row in rows])
        self.archived.update(row.key for row in rows)
        self._count([row for row in rows if not row.is_archived])
        return True

    def _count_visible(self, day: date | None = None) -> Counter[DayKey]:
        """Ticks that the store has of a trading day, or of all, whatever its index says."""
        counts: Counter[DayKey] = Counter()
        for part in self.store.visible_ticks(day):
            counts[part.key] += part.rows
        return counts

    def _read_day(self, row: IndexRow, visible: int) -> pa.Table:
        """The ticks of a day, of the store or of its file. Raises DataQualityError."""
        return (
            files.read_day(self.folder, row) if row.is_archived else self._read_stored(row, visible)
        )

    def _is_whole(self, row: IndexRow, visible: int) -> bool:
        """Whether the store has the ticks of a day."""
        try:
            self._read_stored(row, visible)
        except DataQualityError:
            return False
        return True

    def _read_stored(self, row: IndexRow, visible: int) -> pa.Table:
        """The ticks of a day in the store. Raises DataQualityError."""
        ticks = read_indexed(self.store, row)
        if visible != row.rows:
            raise DataQualityError(f"the index says {row.rows} ticks, the store has {visible}")
        return ticks

    def _remove(self, first: date, last: date) -> None:
        """Remove the ticks of days whose index rows read back with files that are there."""
        self.lock.confirm()
        named = {row.key: str(row.archive_file) for row in self.store.index() if row.is_archived}
        near = {
            named[key] for key in self.archived & named.keys() if first <= key.trading_day <= last
        }
        if gone := files.find_lost_files(self.folder, near):
            raise DataQualityError(
                f"{gone[0]}, in {self.folder.root}, since it was written: no ticks were removed",
                hint=f"mount its disk, or set {self.folder.setting} to where the files are, and "
                "archive again",
            )
        if lost := sorted(self.archived - named.keys()):
            raise StoreError(
                f"the index of {self.store.label} does not name the file of {key_text(lost[0])}, "
                f"and of {len(lost) - 1:,} other days: no ticks were removed",
                hint="quotemill ticks archive writes them again",
            )
        self.waiting |= self.store.remove_ticks(self.archived, first, last)

    def _count(self, rows: Sequence[IndexRow]) -> None:
        self.result.days += bool(rows)
        self.result.contract_days += len(rows)
        self.result.ticks += count_ticks(rows)


def _describe(keys: Sequence[DayKey]) -> str:
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"ticks of {key_text(keys[0])}{more}"
