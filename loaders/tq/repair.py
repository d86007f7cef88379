"""What mends the tick store without a download. Loads of ticks write to the same days, so each takes the lane's
lock: LockHeldError while one runs."""

from contextlib import closing

from loaders.engine.lock import load_lock
from loaders.settings import Settings
from loaders.ticks.choice import open_store
from loaders.ticks.owners import foreign
from loaders.ticks.store import Stamp
from loaders.tq.backlog import key_of
from loaders.tq.request import TICK_LANE
from loaders.tq.verify import seen_days
from loaders.warehouse.migrate import warehouse_id
from loaders.warehouse.postgres import Warehouse


def take_out(settings: Settings, warehouse: Warehouse) -> int:
    """Flag what is seen of days that the index has not as complete; how many ticks. Those of complete days
    are given the stamp that the index says."""
    with load_lock(warehouse, TICK_LANE), closing(open_store(settings, warehouse)) as store:
        seen = seen_days(store, foreign(store, warehouse_id(warehouse)))
        complete = {key_of(row): row for row in store.index() if row.status == "complete"}
        for key in sorted(seen.keys() & complete.keys()):
            row = complete[key]
            stamps = {(part.segment_id, part.schedule_hash) for part in seen[key]}
            if stamps != {(row.segment_id, row.schedule_hash)}:
                stamp = Stamp(row.trading_day, row.segment_id, row.schedule_hash)
                store.restamp(row.symbol, row.contract, [stamp])
        return sum(store.supersede(*key) for key in sorted(seen.keys() - complete.keys()))
