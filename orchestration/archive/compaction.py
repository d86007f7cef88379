"""Compact the small Snappy files of a month into few large ZSTD files.

Rows of a compacted file that change leave it again.
"""

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from loaders.progress import Reporter
from loaders.settings import Settings
from loaders.warehouse.postgres import Warehouse
from orchestration.archive import closed, ledger, parts, swap
from orchestration.archive.folder import Damaged, Folder
from orchestration.archive.ledger import Partition
from orchestration.archive.rows import Place
from orchestration.archive.swap import New
from orchestration.archive.views import View

_MB = 1_000_000


@dataclass(frozen=True)
class Compacted:
    """A compacted month of a view. `below_target` files lack the rows for the target size."""

    view: str
    month: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    rows: int
    below_target: int


def compact(
    settings: Settings,
    warehouse: Warehouse,
    folder: Folder,
    views: Sequence[View],
    asked: bool | None,
    as_of: datetime,
    reporter: Reporter,
) -> tuple[list[Compacted], list[Damaged]]:
    """Compact what is due, month by month. Months with a damaged file stay as they are.

    Everything archived where `asked`, or enabled for the same day; else the weeks that are over.
    """
    last = _last_day(settings, asked, as_of)
    done: list[Compacted] = []
    damaged: list[Damaged] = []
    if last is None:
        return done, damaged
    schema = warehouse.inner_schema("options")
    with warehouse.connect() as conn:
        months = {
            view.name: _months(ledger.find_partitions(conn, schema, view.name), last)
            for view in views
        }
    reporter.start("compact", sum(map(len, months.values())))
    for view, by_month in months.items():
        for month, held in by_month.items():
            try:
                done.append(_compact_month(settings, warehouse, folder, view, month, held))
            except Damaged as error:
                damaged.append(error)
                reporter.line(f"damaged: {error}")
            reporter.advance("compact", 1)
    return done, damaged


def _last_day(settings: Settings, asked: bool | None, as_of: datetime) -> date | None:
    """The newest day to compact; None for nothing."""
    today = closed.today(as_of)
    if asked or (asked is None and settings.ib.same_day_compaction_enabled):
        return today
    if asked is None and settings.ib.weekly_compaction_enabled:
        return today - timedelta(days=today.weekday() + 1)
    return None


def _months(held: Sequence[Partition], last: date) -> dict[str, list[Partition]]:
    """By month, what to compact: small files, and large ones below the target size."""
    months: dict[str, list[Partition]] = {}
    for one in held:
        if one.is_below_target or (not one.is_compacted and one.partition_date <= last):
            months.setdefault(f"{one.partition_date:%Y-%m}", []).append(one)
    return {
        month: those for month, those in months.items() if not all(p.is_compacted for p in those)
    }


def _compact_month(
    settings: Settings,
    warehouse: Warehouse,
    folder: Folder,
    view: str,
    month: str,
    held: Sequence[Partition],
) -> Compacted:
    schema = warehouse.inner_schema("options")
    taken = parts.list_sources(held)
    with folder.usable():
        new = parts.write(
            folder,
            view,
            month,
            taken,
            _numbers(warehouse, folder, view, month, held),
            _target(settings),
        )
    swap.replace_files(warehouse, folder, schema, [source.path for source in taken], new)
    sizes = {one.path: one.size_bytes for one in held}
    return Compacted(
        view,
        month,
        len(taken),
        len(new),
        sum(sizes.values()),
        sum(one.file.size_bytes for one in new),
        sum(one.file.row_count for one in new),
        sum(one.file.is_below_target for one in new),
    )


def remove_partitions(
    settings: Settings,
    warehouse: Warehouse,
    folder: Folder,
    view: str,
    paths: Collection[str],
    moved: Mapping[Place, New],
) -> None:
    """Rewrite the files at `paths` without the partitions of `moved`, which get their own files.

    Raises Damaged where one of them is damaged; then nothing changes.
    """
    schema = warehouse.inner_schema("options")
    with warehouse.connect() as conn:
        held = ledger.find_partitions(conn, schema, view, paths=sorted(paths))
    by_month: dict[str, list[Partition]] = {}
    for one in held:
        by_month.setdefault(_month_of(one.path), []).append(one)
    rest: list[New] = []
    try:
        for month, those in by_month.items():
            taken = parts.list_sources(those, frozenset(moved))
            numbers = _numbers(warehouse, folder, view, month, those)
            with folder.usable():
                rest += parts.write(folder, view, month, taken, numbers, _target(settings))
    except BaseException:
        parts.discard(folder, [*rest, *moved.values()])
        raise
    swap.replace_files(warehouse, folder, schema, paths, [*rest, *moved.values()])


def _numbers(
    warehouse: Warehouse, folder: Folder, view: str, month: str, held: Sequence[Partition]
) -> Iterator[int]:
    """Numbers for new files: those of replaced files, then numbers that the month does not use."""
    own = sorted({_number(one.path) for one in held if one.is_compacted})
    with warehouse.connect() as conn:
        files = ledger.list_files(conn, warehouse.inner_schema("options"))
    prefix = f"view={view}/month={month}/"
    used = {_number(file.path) for file in files if file.path.startswith(prefix)}
    for stray in folder.path(prefix).glob(".part-*.new"):  # left by a run that was cut short
        stray.unlink()
    return itertools.chain(own, (n for n in itertools.count() if n not in used))


def _number(path: str) -> int:
    return int(re.findall(r"part-(\d+)\.parquet$", path)[0])


def _month_of(path: str) -> str:
    match: Any = re.search(r"/month=([^/]+)/", path)
    return str(match[1])


def _target(settings: Settings) -> int:
    return settings.ib.target_file_size_mb * _MB
