"""Archives of ticks for tests to drive: in PostgreSQL, or in QuestDB alone."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.loads import run_load
from loaders.ticks.open_store import open_store
from loaders.ticks.store import TickStore
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_archive import files
from loaders.tq.tick_archive.archive import TickArchive, archive_ticks
from loaders.tq.tick_archive.restore import RestoredTicks, restore_ticks
from loaders.tq.tick_days.verify import Verification, verify
from loaders.trading_time import SHANGHAI
from loaders.warehouse.lock import is_lane_busy
from loaders.warehouse.postgres import open_warehouse
from quotemill.ticks.columns import DayKey
from tests.faults import tally
from tests.faults.driver import was_killed
from tests.faults.points import Point
from tests.faults.scene import wait_until
from tests.integration.tq.bench import Bench
from tests.integration.tq.test_ticks import asked_days
from tests.integration.tq.worlds import DAYS

LATE = timedelta(days=100)  # after which every day is old
READ = (
    "select symbol, contract, trading_day, segment_id, schedule_hash, rows, hash_a, hash_b, "
    "row_hash, status from raw_tq.symbol_day order by 3, 2"
)
STAMP = ["segment_id", "schedule_hash"]
FILES = "select trading_day, archive_file from raw_tq.symbol_day order by 1"
DAMAGES = ("missing", "cut", "altered", "another day's")


@contextmanager
def opened(bench: Bench) -> Iterator[TickStore]:
    with closing(open_store(bench.settings, open_warehouse(bench.settings))) as store:
        yield store


def clock(bench: Bench) -> datetime:
    return bench.sandbox.clock.replace(tzinfo=SHANGHAI)


def runner(bench: Bench) -> Callable[[LoadRequest], LoadResult]:
    return lambda request: run_load(bench.settings, request, bench.heard, as_of=clock(bench))


def archive(bench: Bench, *, before: date | None = None, **options: Any) -> TickArchive:
    """Archive all days, or those before a date."""
    as_of = clock(bench) + LATE
    if before is not None:
        options["older_than"] = (as_of.date() - before).days
    there = open_warehouse(bench.settings)
    return archive_ticks(bench.settings, there, runner(bench), bench.heard, as_of=as_of, **options)


def restore(bench: Bench, first: date = date.min, last: date = date.max) -> RestoredTicks:
    there = open_warehouse(bench.settings)
    return restore_ticks(
        bench.settings,
        there,
        runner(bench),
        bench.heard,
        since=first,
        until=last,
        as_of=clock(bench),
    )


def verified(bench: Bench) -> Verification:
    return verify(bench.settings, open_warehouse(bench.settings), Silent())


def read_ticks(bench: Bench) -> dict[DayKey, pa.Table]:
    with opened(bench) as store:
        return {row.key: store.read_day(row.key) for row in store.index() if row.is_visible}


def visible_days(bench: Bench) -> set[date]:
    with opened(bench) as store:
        return {part.trading_day for part in store.visible_ticks()}


def file_of(bench: Bench, day: date) -> Path:
    return bench.settings.home / "tick-archive" / files.file_name(day)


def damage_file(path: Path, damage: str, another: Path) -> None:
    """Damage a file of ticks in one of the `DAMAGES`; `another` is the file of another day."""
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "altered":
        place = len(data) // 3
        path.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
    else:
        path.write_bytes(another.read_bytes())


def is_whole(bench: Bench, archived: int) -> None:
    """A load asks for nothing, and verification finds every day, archived or not."""
    bench.asked()
    result = bench.load("ticks")
    assert (result.status, result.tasks, asked_days(bench)) == ("succeeded", (), 0)
    verification = verified(bench)
    assert (verification.days, verification.differences) == (DAYS, ())
    assert verification.archived == archived


def killed(bench: Bench, work: Callable[[], object], point: Point) -> bool:
    """Whether a child that did some work was killed at a point."""
    was = was_killed(work, point)
    victims = "QuestDB and tick" if "FAULTS_VICTIM" in os.environ else "tick"
    tally.count(f"{victims} {point.stage} killed", "tq", hit=was)
    # a server ends the session of a killed client a moment later
    warehouse = open_warehouse(bench.settings)
    wait_until("the lock is free", lambda: not is_lane_busy(warehouse, TICK_LANE))
    return was
