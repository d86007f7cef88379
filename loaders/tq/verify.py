"""Is every day of the tick store what its index says, and is the landed copy of that the same?"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from loaders.progress import Reporter
from loaders.settings import Settings
from loaders.ticks.choice import open_store
from loaders.ticks.owners import foreign
from loaders.ticks.store import IndexRow, StoreError, TickStore
from loaders.tq import index
from loaders.tq.backlog import key_of, key_text
from loaders.warehouse.migrate import warehouse_id
from loaders.warehouse.postgres import Warehouse

MEASURED = ("rows", "row_hash", "hash_a", "hash_b", "first_ts", "last_ts", "book_levels")


@dataclass(frozen=True)
class Difference:
    """`key` is `KQ.m@SHFE.cu SHFE.cu2601 2025-11-25`. Those `of_ticks` are mended by another download,
    the others by the next load of ticks."""

    key: str
    text: str
    of_ticks: bool


@dataclass(frozen=True)
class Verified:
    days: int
    rows: int
    differences: tuple[Difference, ...]

    @property
    def repairable(self) -> tuple[str, ...]:
        """Days that another download mends."""
        return tuple(dict.fromkeys(d.key for d in self.differences if d.of_ticks))

    def as_json(self) -> dict[str, Any]:
        told = [{"day": d.key, "difference": d.text} for d in self.differences]
        return {"days": self.days, "rows": self.rows, "differences": told}


def verify(settings: Settings, warehouse: Warehouse, reporter: Reporter) -> Verified:
    """Recompute rows and hashes of every day of our own series. Raises StoreError where the store is away or not sound."""
    with closing(open_store(settings, warehouse)) as store:
        store.prepare()
        if problems := store.check():
            raise StoreError(
                f"the tick store is not sound: {problems[0]}", hint="; ".join(problems)
            )
        theirs = foreign(store, warehouse_id(warehouse))
        if theirs:
            reporter.line(f"left out, as of other warehouses: {', '.join(sorted(theirs))}")
        rows = [row for row in store.index() if row.symbol not in theirs]
        reporter.start("days", len(rows))
        found: list[Difference] = []
        for row in rows:
            found += _of_day(store, row)
            reporter.advance("days", 1)
        copies = warehouse.ask(index.copies)
        copied = {key: row for key, row in copies.items() if key.symbol not in theirs}
    for key in index.differing({key_of(row): row for row in rows}, copied):
        found.append(Difference(key_text(key), "the landed copy of the index differs", False))
    complete = [row for row in rows if row.status == "complete"]
    return Verified(len(rows), sum(row.rows for row in complete), tuple(found))


def _of_day(store: TickStore, row: IndexRow) -> Iterator[Difference]:
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
