"""Is every day of the tick store what its index says, is the landed copy of that the same, and the store's
schedule the one that dbt built?"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

from loaders.progress import Reporter
from loaders.settings import Settings
from loaders.ticks.frame import LEVELS, DayKey
from loaders.ticks.open_store import open_store
from loaders.ticks.store import IndexRow, Seen, StoreError, TickStore
from loaders.tq.tick_days import index_rows
from loaders.tq.tick_days.backlog import Scheduled, key_of, key_text, read_schedule
from loaders.warehouse.postgres import Warehouse

STAMP = ("segment_id", "schedule_hash")
MEASURED = ("rows", "row_hash", "hash_a", "hash_b", "first_ts", "last_ts", "book_levels")


@dataclass(frozen=True)
class Difference:
    """`key` is `KQ.m@SHFE.cu SHFE.cu2601 2025-11-25`. Those `of_ticks` are mended by another download,
    the others by `loaders.tq.tick_days.repair` and the next load of ticks."""

    key: str
    text: str
    of_ticks: bool


@dataclass(frozen=True)
class Verified:
    """`first_l5_days`: of each variety the first complete day with five levels of the order book; None: it
    has none."""

    days: int
    rows: int
    differences: tuple[Difference, ...]
    first_l5_days: Mapping[str, date | None]

    @property
    def repairable(self) -> tuple[str, ...]:
        """Days that another download mends."""
        return tuple(dict.fromkeys(d.key for d in self.differences if d.of_ticks))

    def as_json(self) -> dict[str, Any]:
        told = [{"day": d.key, "difference": d.text} for d in self.differences]
        first = {variety: day and day.isoformat() for variety, day in self.first_l5_days.items()}
        return {
            "days": self.days,
            "rows": self.rows,
            "first_l5_days": first,
            "differences": told,
        }


def verify(settings: Settings, warehouse: Warehouse, reporter: Reporter) -> Verified:
    """Recompute rows and hashes of every day. Raises StoreError where the store is away or not sound."""
    with closing(open_store(settings, warehouse)) as store:
        store.prepare()
        if problems := store.check():
            raise StoreError(
                f"the tick store is not sound: {problems[0]}", hint="; ".join(problems)
            )
        seen = seen_days(store)  # first: a day that lands meanwhile is in the index by then
        rows = store.index()
        reporter.start("days", len(rows))
        found: list[Difference] = []
        for row in rows:
            found += _of_day(store, row, seen.pop(key_of(row), ()))
            reporter.advance("days", 1)
        for key, of_day in seen.items():
            count = sum(part.rows for part in of_day)
            found.append(
                Difference(key_text(key), f"not in the index, and {count:,} ticks are seen", False)
            )
        found += _of_schedules(store, warehouse, rows)
        copied = warehouse.ask(index_rows.copies)
    for key in index_rows.differing({key_of(row): row for row in rows}, copied):
        found.append(Difference(key_text(key), "the landed copy of the index differs", False))
    complete = [row for row in rows if row.status == "complete"]
    ticks = sum(row.rows for row in complete)
    return Verified(len(rows), ticks, tuple(found), first_l5_days(complete))


def first_l5_days(complete: Sequence[IndexRow]) -> dict[str, date | None]:
    """Of complete days by symbol and day; keys are varieties."""
    found: dict[str, date | None] = {}
    for row in complete:
        variety = row.symbol.removeprefix("KQ.m@")
        found[variety] = found.get(variety) or (
            row.trading_day if row.book_levels >= LEVELS else None
        )
    return found


def seen_days(store: TickStore) -> dict[DayKey, list[Seen]]:
    """Visible ticks by contract-day."""
    found: dict[DayKey, list[Seen]] = defaultdict(list)
    for part in store.seen():
        found[DayKey(part.symbol, part.contract, part.trading_day)].append(part)
    return dict(found)


def is_as_indexed(store: TickStore, row: IndexRow) -> bool:
    """Are the ticks of a complete day what its row of the index says?"""
    now = store.measure(row.symbol, row.contract, row.trading_day)
    return all(getattr(row, name) == getattr(now, name) for name in MEASURED)


def _of_day(store: TickStore, row: IndexRow, seen: Sequence[Seen]) -> Iterator[Difference]:
    key = key_text(key_of(row))
    now = store.measure(row.symbol, row.contract, row.trading_day)
    if row.status != "complete":
        if now.rows:
            yield Difference(key, f"superseded, and {now.rows:,} ticks of it are still seen", False)
        return
    for name in MEASURED:
        told, there = getattr(row, name), getattr(now, name)
        if told != there:
            yield Difference(key, f"{name}: the index says {told}, the ticks {there}", True)
    for name in STAMP:
        told, others = getattr(row, name), {getattr(part, name) for part in seen}
        if others - {told}:
            there = ", ".join(map(str, sorted(others)))
            yield Difference(key, f"{name}: the index says {told}, the ticks {there}", False)


def _of_schedules(
    store: TickStore, warehouse: Warehouse, rows: Sequence[IndexRow]
) -> Iterator[Difference]:
    schema = warehouse.inner_schema("futures")
    built: dict[str, list[Scheduled]] = defaultdict(list)
    for day in warehouse.ask(lambda conn: read_schedule(conn, schema)):
        built[day.symbol].append(day)
    last_days = {row.symbol: row.trading_day for row in rows if row.status == "complete"}
    for symbol in sorted(built.keys() | last_days.keys()):
        yield from _of_schedule(store, symbol, built[symbol], last_days.get(symbol))


def _of_schedule(
    store: TickStore, symbol: str, built: Sequence[Scheduled], last: date | None
) -> Iterator[Difference]:
    """The first day on which the store's schedule is not the one that dbt built. Days of that after all that
    the store has come with the next load."""
    held = [Scheduled(*row.values()) for row in store.schedule(symbol).to_pylist()]
    reach = max((*(day.trading_day for day in held), last or date.min), default=date.min)
    wanted = {day.trading_day: day for day in built if day.trading_day <= reach}
    there = {day.trading_day: day for day in held}
    differ = sorted(d for d in wanted.keys() | there.keys() if wanted.get(d) != there.get(d))
    if not differ:
        return
    now, new = there.get(differ[0]), wanted.get(differ[0])
    if now is None or new is None:
        text = "lacks the day" if now is None else "has the day, and dbt's has not"
    else:
        pairs = zip(Scheduled._fields, now, new, strict=True)
        text = "; ".join(f"{name} is {a}, dbt's {b}" for name, a, b in pairs if a != b)
    many = f" ({len(differ):,} days of the series differ)" if len(differ) > 1 else ""
    key = key_text((new or now).key)  # type: ignore[union-attr]
    yield Difference(key, f"the store's schedule: {text}{many}", False)
