"""Copy of the ticks between the warehouse and QuestDB, without a download.

    what the target has ▶ schedule ▶ days that it lacks ▶ days without data ▶ what only it has

Each day is compared with the source's index before it is written, and read back after it. Its index
row follows its ticks, so a copy that was ended is continued by the next.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import pyarrow as pa

from loaders.engine.progress import Reporter
from loaders.settings import Settings
from loaders.ticks.day_hash import measured
from loaders.ticks.frame import checked
from loaders.ticks.open_store import open_questdb, open_store
from loaders.ticks.store import IndexRow, MeasuredTicks, TickStore, split_days
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_days.schedule import key_text
from loaders.tq.tick_days.verify import agrees, measure_days, require_sound
from loaders.warehouse.lock import LoadLock, load_lock
from quotemill.errors import UsageError
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreAway, StoreError
from quotemill.warehouse.postgres import Warehouse

PLACES = ("questdb", "warehouse")
BATCH = 20  # days after which index rows are written and the lock is confirmed
TICKS = 1_000_000  # of days that are written together: some 250 MB


@dataclass(frozen=True)
class TickCopy:
    """What a copy did.

    source, target  labels of the stores
    days            days that the source has
    archived        days in the archive, whose files serve both stores
    copied          days of them that were written; the others were there
    ticks           ticks of the days that were written
    taken_out       days that only the target had
    damaged         days whose ticks are not what the source's index says: not copied; why
    """

    source: str
    target: str
    days: int
    archived: int
    copied: int
    ticks: int
    taken_out: int
    damaged: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        damaged = [{"day": key, "difference": text} for key, text in self.damaged.items()]
        return vars(self) | {"damaged": damaged}


def copy_ticks(
    settings: Settings,
    warehouse: Warehouse,
    to: str,
    reporter: Reporter,
    *,
    take_out: bool = False,
) -> TickCopy:
    """Make one of two stores what the other is; days that are equal are not written again.

    `to`: the one of PLACES that gets the ticks. `take_out`: replace and take out days of the target
    that the source has otherwise or not at all.

    Raises UsageError without two stores, for an empty source, and for such days otherwise;
    LockHeldError while a load of ticks runs; SettingsError where QuestDB serves another warehouse;
    StoreError where a store is away or not sound.
    """
    if settings.questdb_url is None:
        raise UsageError(
            "questdb_url is not set: the warehouse is the only tick store",
            hint=f"name the QuestDB: QUOTEMILL_QUESTDB_URL=local quotemill questdb copy --to {to}",
        )
    with ExitStack() as stack:
        lock = stack.enter_context(load_lock(warehouse, TICK_LANE))
        stores: dict[str, TickStore] = {
            "questdb": open_questdb(settings, warehouse),
            "warehouse": open_store(settings.model_copy(update={"questdb_url": None}), warehouse),
        }
        for store in stores.values():
            stack.callback(store.close)
        target = stores.pop(to)
        (source,) = stores.values()
        if not source.summary().days:
            raise UsageError(
                f"{source.label} has no ticks to copy", hint="--to names the store that gets them"
            )
        for store in (source, target):
            store.prepare()
            require_sound(store)
        return _Copy(source, target, lock).run(reporter, take_out)


class _Copy:
    """A copy under the lock of loads."""

    def __init__(self, source: TickStore, target: TickStore, lock: LoadLock) -> None:
        self.source, self.target, self.lock = source, target, lock
        self.rows = {row.key: row for row in source.index()}
        self.archived = {key for key, row in self.rows.items() if row.is_archived}
        self.visible = {
            key: row
            for key, row in self.rows.items()
            if row.is_visible and key not in self.archived
        }
        self.indexed = {row.key: row for row in target.index()}
        self.written: list[IndexRow] = []
        self.damaged: dict[DayKey, str] = {}
        self.unread: set[DayKey] = set()  # of them, those that the source cannot give

    def run(self, reporter: Reporter, take_out: bool) -> TickCopy:
        if not take_out:
            self.require_no_others()
        there = measure_days(self.target, reporter)
        self.copy_schedule()
        self.copy_days(there, reporter)
        self.copy_no_data()
        others = self.find_others(there)
        for key in others:
            self.target.supersede(*key)
            self.indexed.pop(key, None)
        self.put_index([row for key, row in self.rows.items() if key not in self.visible])
        return TickCopy(
            self.source.label,
            self.target.label,
            days=len(self.visible),
            archived=len(self.archived),
            copied=len(self.written),
            ticks=sum(row.rows for row in self.written),
            taken_out=len(set(others) - self.archived),
            damaged={key_text(key): text for key, text in self.damaged.items()},
        )

    def require_no_others(self) -> None:
        """Refuse a target that has days which the source has otherwise or not at all."""
        others = [
            key
            for key, row in self.indexed.items()
            if row.is_visible
            and (
                key not in self.visible.keys() | self.archived
                or self.rows[key].row_hash != row.row_hash
            )
        ]
        if others:
            raise UsageError(
                f"{self.target.label} has {len(others):,} days that {self.source.label} has "
                f"otherwise or not at all, such as {key_text(others[0])}",
                hint="is it the right direction? --take-out makes them what the source has",
            )

    def copy_schedule(self) -> None:
        for symbol in sorted({key.symbol for key in self.rows}):
            self.target.put_schedule(self.source.schedule(symbol))

    def copy_days(self, there: dict[DayKey, list[MeasuredTicks]], reporter: Reporter) -> None:
        """Copy the series of a trading day together: in QuestDB they share a partition."""
        reporter.start("days copied", len(self.visible))
        passed: list[IndexRow] = []
        for rows in group_days(self.visible.values()):
            lacking = [row for row in rows if not _is_there(row, there.get(row.key, ()))]
            self.write_days(lacking)
            passed += [row for row in rows if row.key not in self.damaged]
            if len(passed) >= BATCH:
                self.put_index(passed)
                passed = []
            reporter.advance("days copied", len(rows))
        self.put_index(passed)

    def write_days(self, rows: Sequence[IndexRow]) -> None:
        """Read days of one trading day, and write those that are sound."""
        pairs = [(row, ticks) for row in rows if (ticks := self.read_ticks(row)) is not None]
        results = self.target.write_days([ticks for _, ticks in pairs]) if pairs else []
        for (row, _), result in zip(pairs, results, strict=True):
            if isinstance(result, StoreError):
                self.damaged[row.key] = str(result)
            else:
                self.written.append(row)

    def read_ticks(self, row: IndexRow) -> pa.Table | None:
        """The ticks of a day with the stamp of its index row; None where they are damaged."""
        try:
            ticks = self.source.read_day(row.key, span=row.span)
            why = "; ".join(row.find_differences(measured(ticks)))
        except StoreAway:
            raise
        except StoreError as error:
            why = str(error)
        if why:
            self.damaged[row.key] = why
            self.unread.add(row.key)
            return None
        for name, kind in (("segment_id", pa.int32()), ("schedule_hash", pa.string())):
            stamps = pa.repeat(pa.scalar(getattr(row, name), kind), ticks.num_rows)
            ticks = ticks.set_column(ticks.schema.get_field_index(name), name, stamps)
        return checked(ticks)

    def put_index(self, rows: Sequence[IndexRow]) -> None:
        self.lock.confirm()
        self.target.put_index([row for row in rows if self.indexed.get(row.key) != row])

    def copy_no_data(self) -> None:
        rows = {row.key: row for row in self.source.no_data()}
        there = {row.key: row for row in self.target.no_data()}
        gone = [replace(row, status="superseded") for key, row in there.items() if key not in rows]
        wanted = [*rows.values(), *gone]
        self.target.put_no_data([row for row in wanted if there.get(row.key) != row])

    def find_others(self, there: Mapping[DayKey, Sequence[MeasuredTicks]]) -> list[DayKey]:
        """Days of the target, indexed or not, that are not those of the source.

        Where the source's ticks are damaged, sound ones of the target stay.
        """
        held = {key for key, row in self.indexed.items() if row.is_visible} - self.archived
        sound = {key for key in self.unread & held if agrees(self.indexed[key], there.get(key, ()))}
        for key in sound:
            self.damaged[key] += f"; {self.target.label} keeps its own ticks"
        return sorted({*there, *held} - (self.visible.keys() - self.damaged.keys()) - sound)


def group_days(rows: Iterable[IndexRow]) -> Iterator[list[IndexRow]]:
    """The rows of each trading day, in several lists where they have many ticks."""
    in_order = sorted(rows, key=lambda row: (row.trading_day, row.symbol))
    for _, day in groupby(in_order, key=lambda row: row.trading_day):
        yield from split_days(day, TICKS, lambda row: row.rows)


def _is_there(row: IndexRow, parts: Sequence[MeasuredTicks]) -> bool:
    """Whether the target has these ticks, with this stamp."""
    stamps = {(part.segment_id, part.schedule_hash) for part in parts}
    return agrees(row, parts) and stamps == {(row.segment_id, row.schedule_hash)}
