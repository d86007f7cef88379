"""Comparison of every stored day with its index row, and of that with the ledger.

The store's schedule is compared with the one that dbt built.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

from loaders.check import Check
from loaders.engine.progress import Reporter
from loaders.settings import Settings
from loaders.ticks.day_hash import row_hash
from loaders.ticks.open_store import open_store
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.store import IndexRow, MeasuredTicks
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_days.ledger import find_lagging, read_ledger
from loaders.tq.tick_days.rules import counts_both_sides
from loaders.tq.tick_days.schedule import Scheduled, key_text, read_schedule
from loaders.warehouse.lock import is_lane_busy
from quotemill.errors import DataQualityError
from quotemill.ticks.columns import LEVELS, DayKey
from quotemill.ticks.questdb_http import StoreError
from quotemill.warehouse.postgres import Warehouse
from quotemill.wording import join_hints

STAMP = ("segment_id", "schedule_hash")


def describe_difference(key: str, text: str, *, needs_download: bool = False) -> Check:
    """The check of a day that differs; its subject is `KQ.m@SHFE.cu SHFE.cu2601 2025-11-25`.

    `needs_download`: another download fixes it; others are fixed by loaders.tq.tick_days.repair
    and the next load of ticks.
    """
    figures = {"difference": text, "needs_download": needs_download}
    fix, code = "loaders verify tq --repair", DataQualityError.exit_code
    return Check("ticks", "fail", f"{key}: {text}", fix, code, subject=key, figures=figures)


@dataclass(frozen=True)
class Verification:
    """The result of `verify`.

    `first_l5_days`: by variety the first stored day with five levels of the order book; None: it
    has none. `short`: days whose ticks are as indexed, and less than their day bars; `both_sides`:
    the short days that a count of both sides explains. `is_busy`: a load of ticks was at work
    meanwhile, whose steps may be among the differences.
    """

    days: int
    rows: int
    differences: tuple[Check, ...]
    first_l5_days: Mapping[str, date | None]
    short: tuple[str, ...] = ()
    both_sides: tuple[str, ...] = ()
    is_busy: bool = False

    @property
    def repairable(self) -> tuple[str, ...]:
        """Days that another download fixes."""
        return tuple(
            dict.fromkeys(d.subject for d in self.differences if d.figures["needs_download"])
        )

    @property
    def checks(self) -> Iterator[Check]:
        """The days that differ, those short of their day bars, and what the order books hold."""
        yield from self.differences
        for key in self.short:
            text, fix = f"{key}: short of its day bar", "loaders run tq"
            if key in self.both_sides:  # another download has the same ticks
                text, fix = f"{key}: the ticks or the day bar count both sides of each trade", ""
            yield Check("ticks", "warn", text, fix, subject=key)
        for variety, day in self.first_l5_days.items():
            levels = f"five levels of the order book from {day} on"
            text = f"{variety}: {levels if day else 'no day with five levels'}"
            yield Check("levels", "ok", text, subject=variety)

    def as_json(self) -> dict[str, Any]:
        first = {variety: day and day.isoformat() for variety, day in self.first_l5_days.items()}
        return {
            "days": self.days,
            "rows": self.rows,
            "first_l5_days": first,
            "short_days": list(self.short),
            "is_busy": self.is_busy,
            "differences": [
                {"day": check.subject, "difference": check.figures["difference"]}
                for check in self.differences
            ],
            "checks": [check.as_json() for check in self.checks],
        }


def verify(settings: Settings, warehouse: Warehouse, reporter: Reporter) -> Verification:
    """Recompute rows and hashes of every day in the store.

    Takes no lock. Raises StoreError where the store is away or not sound.
    """
    differences: list[Check] = []
    was_busy = is_lane_busy(warehouse, TICK_LANE)
    with closing(open_store(settings, warehouse)) as store:
        store.prepare()
        require_sound(store)
        before = store.index()
        visible = measure_days(store, reporter)  # first: what lands meanwhile is indexed by then
        rows = store.index()
        for row in rows:
            differences += _compare_day(store, row, visible.pop(row.key, ()))
        for key, parts in visible.items():
            count = sum(part.rows for part in parts)
            text = f"not in the index, although {count:,} ticks are visible"
            differences.append(describe_difference(key_text(key), text))
        differences += _compare_schedules(store, warehouse, rows)
        ledger = warehouse.ask(read_ledger)
    for key in find_lagging(ledger, {row.key: row for row in rows}):
        text = "its row in raw_tq.symbol_day differs from the store's index"
        differences.append(describe_difference(key_text(key), text))
    held = [row for row in rows if row.is_visible]
    return Verification(
        len(rows),
        sum(row.rows for row in held),
        tuple(differences),
        find_first_l5_days(held),
        short=tuple(key_text(row.key) for row in held if row.status == "short"),
        both_sides=tuple(key_text(row.key) for row in held if counts_both_sides(row)),
        is_busy=was_busy or rows != before or is_lane_busy(warehouse, TICK_LANE),
    )


def require_sound(store: QuestdbStore) -> None:
    """Raise StoreError for a store with problems."""
    if problems := store.check():
        raise StoreError(
            f"the tick store ({store.label}) has problems: {problems[0].sentence}",
            hint=join_hints(check.fix for check in problems),
        )


def find_first_l5_days(held: Sequence[IndexRow]) -> dict[str, date | None]:
    """By variety, from stored days by symbol and day."""
    first: dict[str, date | None] = {}
    for row in held:
        variety = row.symbol.removeprefix("KQ.m@")
        first[variety] = first.get(variety) or (
            row.trading_day if row.book_levels >= LEVELS else None
        )
    return first


def is_as_indexed(store: QuestdbStore, row: IndexRow) -> bool:
    """Whether the ticks of a day are what its index row says."""
    now = store.measure(row.symbol, row.contract, row.trading_day)
    return not row.find_differences(now)


def measure_days(store: QuestdbStore, reporter: Reporter) -> dict[DayKey, list[MeasuredTicks]]:
    """The parts of each contract-day with visible ticks."""
    days: dict[DayKey, list[MeasuredTicks]] = {}
    if total := store.summary().days:
        reporter.start("days", total)
    for parts in store.measure_all():
        known = len(days)
        for part in parts:
            days.setdefault(part.key, []).append(part)
        if total:
            reporter.advance("days", len(days) - known)
    return days


def _compare_day(
    store: QuestdbStore, row: IndexRow, parts: Sequence[MeasuredTicks]
) -> Iterator[Check]:
    if not agrees(row, parts):
        yield from _compare_measures(store, row)
    if not row.is_visible:
        return
    for name in STAMP:
        indexed, stamps = getattr(row, name), {getattr(part, name) for part in parts}
        if stamps - {indexed}:
            text = (
                f"{name}: the index has {indexed}, the ticks have "
                f"{', '.join(map(str, sorted(stamps)))}"
            )
            yield describe_difference(key_text(row.key), text)


def agrees(row: IndexRow, parts: Sequence[MeasuredTicks]) -> bool:
    """Whether a day is as indexed, by half of its hash: another one has it once in 2^31."""
    if not row.is_visible or not parts:
        return not row.is_visible and not parts
    if row.row_hash != row_hash(row.hash_a, row.hash_b):
        return False
    return (row.rows, row.hash_a, row.first_ts, row.last_ts) == (
        sum(part.rows for part in parts),
        sum(part.hash_a for part in parts),
        min(part.first_ts for part in parts),
        max(part.last_ts for part in parts),
    )


def _compare_measures(store: QuestdbStore, row: IndexRow) -> Iterator[Check]:
    key = key_text(row.key)
    now = store.measure(row.symbol, row.contract, row.trading_day)
    if not row.is_visible:
        if now.rows:
            text = f"superseded, but {now.rows:,} of its ticks are still visible"
            yield describe_difference(key, text)
        return
    differences = row.find_differences(now)
    if not now.rows:
        differences = [
            f"the index has {row.rows:,} ticks, but the store has none: lost, or in files "
            "that `quotemill ticks archive` of an older version wrote (restore them with "
            "its `ticks restore`)"
        ]
    for text in differences:
        yield describe_difference(key, text, needs_download=True)


def _compare_schedules(
    store: QuestdbStore, warehouse: Warehouse, rows: Sequence[IndexRow]
) -> Iterator[Check]:
    schema = warehouse.inner_schema("futures")
    built: dict[str, list[Scheduled]] = defaultdict(list)
    for day in warehouse.ask(lambda conn: read_schedule(conn, schema)):
        built[day.symbol].append(day)
    last_days = {row.symbol: row.trading_day for row in rows if row.is_visible}
    for symbol in sorted(built.keys() | last_days.keys()):
        yield from _compare_schedule(store, symbol, built[symbol], last_days.get(symbol))


def _compare_schedule(
    store: QuestdbStore, symbol: str, built: Sequence[Scheduled], last: date | None
) -> Iterator[Check]:
    """The first day on which the store's schedule differs from the built one.

    Built days after all that the store holds come with the next load.
    """
    held = [Scheduled(*row.values()) for row in store.schedule(symbol).to_pylist()]
    reach = max((*(day.trading_day for day in held), last or date.min), default=date.min)
    wanted = {day.trading_day: day for day in built if day.trading_day <= reach}
    stored = {day.trading_day: day for day in held}
    differ = sorted(d for d in wanted.keys() | stored.keys() if wanted.get(d) != stored.get(d))
    if not differ:
        return
    old, new = stored.get(differ[0]), wanted.get(differ[0])
    if old is None or new is None:
        text = "is missing the day" if old is None else "has the day, but dbt's does not"
    else:
        pairs = zip(Scheduled._fields, old, new, strict=True)
        text = "; ".join(f"{name} is {a}, in dbt's {b}" for name, a, b in pairs if a != b)
    many = f" ({len(differ):,} days of the series differ)" if len(differ) > 1 else ""
    key = key_text((new or old).key)  # type: ignore[union-attr]
    yield describe_difference(key, f"the store's schedule: {text}{many}")
