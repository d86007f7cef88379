"""Old ticks in QuestDB's own Parquet, a tenth of the bytes; a step of `quotemill retention`.

native partitions ▶ their trading days are as indexed ▶ Parquet ▶ they still are. A write converts
what it touches back (loaders.ticks.questdb.partitions), so running again is safe, as is a kill.
"""

from collections import defaultdict
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from loaders.engine.progress import Reporter
from loaders.settings import Settings
from loaders.ticks.open_store import open_store
from loaders.ticks.questdb.partitions import Partitions
from loaders.ticks.store import MeasuredTicks, split_days
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_days.schedule import key_text
from loaders.tq.tick_days.verify import agrees, require_sound
from loaders.trading_time import SHANGHAI
from loaders.warehouse.lock import load_lock
from quotemill.errors import DataQualityError
from quotemill.ticks.columns import DayKey
from quotemill.warehouse.postgres import Warehouse

TICKS = 3_000_000  # of partitions that are measured together: some seconds


@dataclass
class PackedTicks:
    """The packed partitions, or those that a dry run would pack.

    before   trading days before it were packed
    days     UTC days, which are partitions; `ticks` in them
    damaged  days of ticks that are not as indexed, whose partitions stay
    """

    before: date
    days: int = 0
    ticks: int = 0
    damaged: list[str] = field(default_factory=list)


def pack_ticks(
    settings: Settings,
    warehouse: Warehouse,
    reporter: Reporter,
    as_of: datetime,
    *,
    older_than: int,
    dry_run: bool,
) -> PackedTicks:
    """Convert partitions to Parquet whose ticks are all of more than so many days ago.

    Raises LockHeldError while a load of ticks runs; StoreError where QuestDB is away or not sound;
    DataQualityError where ticks read back otherwise from Parquet, which is undone.
    """
    result = PackedTicks(as_of.astimezone(SHANGHAI).date() - timedelta(days=older_than))
    with (
        load_lock(warehouse, TICK_LANE) as lock,
        closing(open_store(settings, warehouse, start=True)) as store,
    ):
        store.prepare()
        require_sound(store)
        indexed = {row.key: row for row in store.index() if row.is_visible}
        rows = store.partitions.list_native()
        old = [day for day in rows if day < result.before]
        reporter.start("partitions", len(old))
        for batch in split_days(old, TICKS, rows.__getitem__):
            contents = store.partitions.list_trading_days(batch)
            trading_days = set[date]().union(*contents.values())
            seen = _measure(store.partitions, trading_days)
            listed = {key for key in indexed if key.trading_day in trading_days}
            damaged = [
                key
                for key in sorted(seen.keys() | listed)
                if key not in indexed or not agrees(indexed[key], seen.get(key, ()))
            ]
            result.damaged += map(key_text, damaged)
            stay = {key.trading_day for key in damaged}
            packed = [
                day
                for day, inside in contents.items()
                if not inside & stay and max(inside) < result.before
            ]
            if packed and not dry_run:
                lock.confirm()
                store.partitions.pack(packed)
                if _measure(store.partitions, trading_days) != seen:
                    store.partitions.unpack(packed)
                    raise DataQualityError(
                        f"ticks of {packed[0]} to {packed[-1]} differ when read back from "
                        "Parquet, so they were restored to QuestDB's own format",
                        hint="Run `loaders verify tq`.",
                    )
            result.days += len(packed)
            result.ticks += sum(rows[day] for day in packed)
            reporter.advance("partitions", len(batch))
    result.damaged = sorted(set(result.damaged))
    return result


def _measure(
    partitions: Partitions, trading_days: Collection[date]
) -> dict[DayKey, list[MeasuredTicks]]:
    parts: dict[DayKey, list[MeasuredTicks]] = defaultdict(list)
    for part in sorted(partitions.measure(trading_days), key=lambda p: (p.key, p.segment_id)):
        parts[part.key].append(part)
    return dict(parts)
