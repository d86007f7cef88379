"""What mends the tick store without a download. Loads of ticks write to the same days, so each takes the lane's
lock: LockHeldError while one runs."""

from collections.abc import Sequence
from contextlib import closing

from loaders.errors import UsageError
from loaders.settings import Settings
from loaders.ticks.frame import DayKey
from loaders.ticks.open_store import open_store
from loaders.ticks.store import Stamp
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_days.backlog import key_of, parsed_key
from loaders.tq.tick_days.verify import is_as_indexed, seen_days
from loaders.warehouse.lock import load_lock
from loaders.warehouse.postgres import Warehouse

NAMED = "`loaders verify tq` names the days that differ"


def take_out(settings: Settings, warehouse: Warehouse) -> int:
    """Flag what is seen of days that the index has not as complete; how many ticks. Those of complete days
    are given the stamp that the index says."""
    with load_lock(warehouse, TICK_LANE), closing(open_store(settings, warehouse)) as store:
        store.prepare()
        seen = seen_days(store)
        complete = {key_of(row): row for row in store.index() if row.status == "complete"}
        for key in sorted(seen.keys() & complete.keys()):
            row = complete[key]
            stamps = {(part.segment_id, part.schedule_hash) for part in seen[key]}
            if stamps != {(row.segment_id, row.schedule_hash)}:
                stamp = Stamp(row.trading_day, row.segment_id, row.schedule_hash)
                store.restamp(row.symbol, row.contract, [stamp])
        return sum(store.supersede(*key) for key in sorted(seen.keys() - complete.keys()))


def accept_loss(settings: Settings, warehouse: Warehouse, keys: Sequence[str]) -> None:
    """Take days out whose ticks are not what the index says, and which the servers have no more: they are
    missing from then on, and the next load of ticks asks for them by its rule of days without ticks.

    `keys` as `loaders.tq.tick_days.verify` tells them. All or none: raises UsageError where one of them is no day that
    differs.
    """
    wanted = {key: _parsed(key) for key in keys}
    series = {key.symbol for key in wanted.values()}
    with load_lock(warehouse, TICK_LANE), closing(open_store(settings, warehouse)) as store:
        store.prepare()
        complete = {key_of(row): row for row in store.index(series) if row.status == "complete"}
        for text, key in wanted.items():
            if key not in complete:
                raise UsageError(f"{text}: the index has no such day as complete", hint=NAMED)
            if is_as_indexed(store, complete[key]):
                raise UsageError(f"{text}: nothing of its ticks is lost", hint=NAMED)
        for key in wanted.values():
            store.supersede(*key)


def _parsed(key: str) -> DayKey:
    try:
        return parsed_key(key)
    except ValueError:
        hint = 'written as "KQ.m@SHFE.cu SHFE.cu2601 2025-11-25"'
        raise UsageError(f"not a day of ticks: {key}", hint=hint) from None
