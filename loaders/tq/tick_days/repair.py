"""Verification with repair, and the repairs of the tick store without a download.

Loads of ticks write to the same days, so each repair takes the lane's lock: LockHeldError while a
load runs.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace

from loaders.engine.progress import Reporter, Silent
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.settings import Settings
from loaders.ticks.open_store import open_store
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_days.ledger import read_ledger, require_same_store
from loaders.tq.tick_days.rules import find_repairs
from loaders.tq.tick_days.schedule import parse_key
from loaders.tq.tick_days.verify import Verification, is_as_indexed, measure_days, verify
from loaders.warehouse.lock import load_lock
from quotemill.errors import UsageError
from quotemill.ticks.columns import DayKey
from quotemill.warehouse.postgres import Warehouse

NAMED = "Run `loaders verify tq` to list differing days."
FOLLOW_STORE = LoadRequest("tq", mode="ticks", datasets=("tick_index",))


def verify_and_repair(
    settings: Settings,
    warehouse: Warehouse,
    load: Callable[[LoadRequest], LoadResult],
    display: Callable[[], AbstractContextManager[Reporter]],
    *,
    repair: bool = False,
    accept: Sequence[str] = (),
) -> tuple[Verification, int]:
    """The comparison, and how many differences were repaired; `load` runs a load.

    `accept`: keys of days whose loss is accepted first. Raises UsageError for an unknown key,
    LockHeldError while a load of ticks runs.
    """

    def compare() -> Verification:
        with display() as reporter:
            return verify(settings, warehouse, reporter)

    if accept:
        accept_loss(settings, warehouse, accept)
        load(FOLLOW_STORE)
    before = after = compare()
    if repair and before.differences:
        take_out_unlisted(settings, warehouse)
        keys = before.repairable
        load(replace(FOLLOW_STORE, keys=keys, datasets=None) if keys else FOLLOW_STORE)
        after = compare()
    return after, len(before.differences) - len(after.differences)


def take_out_unlisted(settings: Settings, warehouse: Warehouse) -> int:
    """Flag visible ticks of days that the store's index does not have; how many.

    Ticks of the days that it has get its stamp. Raises StoreError for a store that lacks most days.
    """
    with load_lock(warehouse, TICK_LANE), closing(open_store(settings, warehouse)) as store:
        store.prepare()
        visible, rows = measure_days(store, Silent()), store.index()
        require_same_store(store.label, warehouse.ask(read_ledger), {row.key for row in rows})
        restamped, unlisted = find_repairs(rows, visible)
        for row in restamped:
            store.restamp(row.symbol, row.contract, [row.stamp])
        return sum(store.supersede(*key) for key in unlisted)


def accept_loss(settings: Settings, warehouse: Warehouse, keys: Sequence[str]) -> None:
    """Take out days that differ from the index and that the servers no longer have.

    They are missing from then on: the next load of ticks asks for them by the rule of days without
    ticks. `keys` are those that `loaders verify tq` names. All or none: raises UsageError where one
    is no day that differs.
    """
    wanted = {key: _parse_key(key) for key in keys}
    with load_lock(warehouse, TICK_LANE), closing(open_store(settings, warehouse)) as store:
        store.prepare()
        rows = store.index({key.symbol for key in wanted.values()})
        indexed = {row.key: row for row in rows if row.is_visible}
        for text, key in wanted.items():
            if key not in indexed:
                raise UsageError(f"{text}: not in the index", hint=NAMED)
            if is_as_indexed(store, indexed[key]):
                raise UsageError(f"{text}: none of its ticks are lost", hint=NAMED)
        for key in wanted.values():
            store.supersede(*key)


def _parse_key(key: str) -> DayKey:
    try:
        return parse_key(key)
    except ValueError:
        hint = 'Write it as "KQ.m@SHFE.cu SHFE.cu2601 2025-11-25".'
        raise UsageError(f"not a day of ticks: {key}", hint=hint) from None
