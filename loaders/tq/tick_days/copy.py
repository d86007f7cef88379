"""Copy of the ticks between the warehouse and QuestDB, without a download.

    what the target has ▶ schedule ▶ days that it lacks ▶ days without data ▶ what only it has

Each day is compared with the source's index before it is written as a load writes it: read back,
then its index row. So a copy that was ended is continued by the next.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

from loaders.engine.progress import Reporter
from loaders.settings import Settings
from loaders.ticks.frame import checked
from loaders.ticks.open_store import open_questdb, open_store
from loaders.ticks.store import IndexRow, Measured, MeasuredTicks, TickStore, split_days
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_days.records import StoreIndex, read_indexed
from loaders.tq.tick_days.schedule import key_text
from loaders.tq.tick_days.verify import agrees, measure_days, require_sound
from loaders.warehouse.lock import LoadLock, load_lock
from quotemill.errors import DataQualityError, UsageError
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError
from quotemill.warehouse.postgres import Warehouse
from quotemill.wording import say_count

PLACES = ("questdb", "warehouse")
TICKS = 1_000_000  # of days that are written together: some 250 MB


@dataclass(frozen=True)
class TickCopy:
    """The result of a copy.

    source, target  labels of the stores
    days            days that the source has
    copied          days of them that were written; the others were there
    ticks           ticks of the days that were written
    taken_out       days that only the target had
    damaged         days whose ticks are not what the source's index says: not copied; why
    """

    source: str
    target: str
    days: int
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
        return _copy(source, target, lock, reporter, take_out=take_out)


def _copy(
    source: TickStore, target: TickStore, lock: LoadLock, reporter: Reporter, *, take_out: bool
) -> TickCopy:
    rows, index = {row.key: row for row in source.index()}, StoreIndex(target)
    wanted = {k: row for k, row in rows.items() if row.is_visible}
    if not take_out:
        _require_no_others(source, target, index, rows)
    there = measure_days(target, reporter)
    for symbol in sorted({key.symbol for key in rows}):
        target.put_schedule(source.schedule(symbol))
    lacking = [row for key, row in wanted.items() if not _is_there(row, there.get(key, ()))]
    results = _move_days(source, lacking, index, lock, reporter)
    written = [row for row in results.values() if isinstance(row, IndexRow)]
    damaged = {key: str(why) for key, why in results.items() if not isinstance(why, IndexRow)}
    _copy_no_data(source, target)
    held = {key for key, row in index.rows.items() if row.is_visible}
    for key in damaged.keys() & held:  # where the source's ticks are damaged, sound ones stay
        is_unread = isinstance(results[key], DataQualityError)
        if is_unread and agrees(index.rows[key], there.get(key, ())):
            damaged[key] += f"; {target.label} keeps its own ticks"
            held.remove(key)
            there.pop(key, None)
    others = {*there, *held} - (wanted.keys() - damaged.keys())
    lock.confirm()
    for key in sorted(others):
        index.supersede(key)
    index.put(r for k, r in rows.items() if k not in damaged and index.rows.get(k) != r)
    return TickCopy(
        source.label,
        target.label,
        days=len(wanted),
        copied=len(written),
        ticks=sum(row.rows for row in written),
        taken_out=len(others),
        damaged={key_text(key): damaged[key] for key in sorted(damaged)},
    )


def _require_no_others(
    source: TickStore, target: TickStore, index: StoreIndex, rows: Mapping[DayKey, IndexRow]
) -> None:
    """Refuse a target that has days which the source has otherwise or not at all."""
    hashes = {key: row.row_hash for key, row in rows.items() if row.is_visible}
    held = {key: row.row_hash for key, row in index.rows.items() if row.is_visible}
    if others := [key for key, row_hash in held.items() if hashes.get(key) != row_hash]:
        raise UsageError(
            f"{target.label} has {say_count(len(others), 'day')} that {source.label} has "
            f"otherwise or not at all, such as {key_text(others[0])}",
            hint="is it the right direction? --take-out makes them what the source has",
        )


def _move_days(
    source: TickStore,
    rows: Collection[IndexRow],
    index: StoreIndex,
    lock: LoadLock,
    reporter: Reporter,
) -> dict[DayKey, IndexRow | DataQualityError | StoreError]:
    """Read days and write those of a trading day together, then their index rows.

    The result of a day is its index row, the error of reading it, or why the store did not take it.
    """
    results: dict[DayKey, IndexRow | DataQualityError | StoreError] = {}
    reporter.start("days copied", len(rows))
    for group in group_days(rows):
        days = []
        for row in group:
            try:
                days.append((checked(read_indexed(source, row)), row))
            except DataQualityError as error:
                results[row.key] = error
        lock.confirm()
        new = index.write([(ticks, partial(_same_row, row)) for ticks, row in days])
        results |= {row.key: result for (_, row), result in zip(days, new, strict=True)}
        reporter.advance("days copied", len(group))
    return results


def _same_row(row: IndexRow, _: Measured) -> IndexRow:
    return row


def _copy_no_data(source: TickStore, target: TickStore) -> None:
    rows = {row.key: row for row in source.no_data()}
    there = {row.key: row for row in target.no_data()}
    gone = [replace(row, status="superseded") for key, row in there.items() if key not in rows]
    target.put_no_data([row for row in (*rows.values(), *gone) if there.get(row.key) != row])


def group_days(rows: Iterable[IndexRow]) -> Iterator[list[IndexRow]]:
    """The rows of each trading day, in several lists where they have many ticks."""
    in_order = sorted(rows, key=lambda row: (row.trading_day, row.symbol))
    for _, day in groupby(in_order, key=lambda row: row.trading_day):
        yield from split_days(day, TICKS, lambda row: row.rows)


def _is_there(row: IndexRow, parts: Sequence[MeasuredTicks]) -> bool:
    """Whether the target has these ticks, with this stamp."""
    return agrees(row, parts) and {part.stamp for part in parts} == {row.stamp}
