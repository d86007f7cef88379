"""What mends the tick store without a download. Loads of ticks write to the same days, so each takes the lane's
lock: LockHeldError while one runs."""

from contextlib import closing

from loaders.engine.lock import load_lock
from loaders.settings import Settings
from loaders.ticks.choice import open_store
from loaders.ticks.owners import foreign
from loaders.tq.request import TICK_LANE
from loaders.warehouse.migrate import warehouse_id
from loaders.warehouse.postgres import Warehouse


def take_out(settings: Settings, warehouse: Warehouse) -> int:
    """Flag what is still seen of superseded days; how many ticks."""
    with load_lock(warehouse, TICK_LANE), closing(open_store(settings, warehouse)) as store:
        theirs = foreign(store, warehouse_id(warehouse))
        gone = [r for r in store.index() if r.status != "complete" and r.symbol not in theirs]
        return sum(store.supersede(row.symbol, row.contract, row.trading_day) for row in gone)
