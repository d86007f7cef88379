"""Verify the ticks against their index; on request repair days, or accept their loss."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.progress import Reporter
from loaders.settings import Settings
from loaders.tq.tick_days.repair import accept_loss, take_out
from loaders.tq.tick_days.verify import Verified, verify
from loaders.warehouse.postgres import Warehouse

_INDEX = LoadRequest("tq", mode="ticks", datasets=("tick_index",))


def verify_and_repair(
    settings: Settings,
    warehouse: Warehouse,
    load: Callable[[LoadRequest], LoadResult],
    display: Callable[[], AbstractContextManager[Reporter]],
    *,
    repair: bool = False,
    accept: Sequence[str] = (),
) -> tuple[Verified, int]:
    """What differs, and how many differences were repaired. `load` runs a load of the source.

    `accept` are keys of days whose loss is accepted first. Raises UsageError for an unknown key,
    LockHeldError while a load of ticks runs.
    """

    def check() -> Verified:
        with display() as reporter:
            return verify(settings, warehouse, reporter)

    if accept:
        accept_loss(settings, warehouse, accept)
        load(_INDEX)
    before = after = check()
    if repair and before.differences:
        take_out(settings, warehouse)
        keys = before.repairable
        load(replace(_INDEX, keys=keys, datasets=None) if keys else _INDEX)
        after = check()
    return after, len(before.differences) - len(after.differences)
