"""Compact the small Snappy files of a month into few large ZSTD files, written beside them.

Large files have day, underlying and exchange as columns. Rows of a large file that change later
leave it again, for a small file, until the next compaction.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa

from loaders.engine.progress import Reporter
from loaders.files.whole_file import unfinished
from orchestration.archive import closed, content, ledger, swap
from orchestration.archive import folder as folders
from orchestration.archive.content import Content
from orchestration.archive.folder import Damaged, Folder
from orchestration.archive.ledger import File, New, Partition
from orchestration.archive.store import Archive
from orchestration.archive.views import PLACE_FIELDS, Place, View

# a file that readers still open quickly, and that holds about a month of a stage's slots
TARGET_BYTES = 192_000_000
_SMALL = 2 / 3  # of the target size: 128 MB of 192


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
    archive: Archive,
    views: Sequence[View],
    is_wanted: bool | None,
    as_of: datetime,
    reporter: Reporter,
    target_bytes: int = TARGET_BYTES,
) -> tuple[list[Compacted], list[Damaged]]:
    """Compact what is due, month by month. Months with a damaged file stay as they are.

    Everything archived where `is_wanted`; without a wish (None) the weeks that are over.
    """
    done: list[Compacted] = []
    damaged: list[Damaged] = []
    months = _list_months(archive, views, _last_day(is_wanted, as_of))
    reporter.start("compact", len(months))
    for (view, month), partitions in months.items():
        try:
            new = rewrite(archive, view, month, partitions, target_bytes=target_bytes)
        except Damaged as error:
            damaged.append(error)
            reporter.line(f"damaged: {error}")
        else:
            before = {partition.path: partition.size_bytes for partition in partitions}
            done.append(
                Compacted(
                    view,
                    month,
                    files_before=len(before),
                    files_after=len(new),
                    bytes_before=sum(before.values()),
                    bytes_after=sum(large.file.size_bytes for large in new),
                    rows=sum(large.file.row_count for large in new),
                    below_target=sum(large.file.is_below_target for large in new),
                )
            )
        reporter.advance("compact", 1)
    return done, damaged


def _last_day(is_wanted: bool | None, as_of: datetime) -> date:
    """The newest day to compact; the first of all days for nothing."""
    today = closed.today(as_of)
    if is_wanted is None:
        return today - timedelta(days=today.weekday() + 1)
    return today if is_wanted else date.min


def _list_months(
    archive: Archive, views: Sequence[View], last: date
) -> dict[tuple[str, str], list[Partition]]:
    """Partitions to compact, by view and month: in small files, and in large ones below target."""
    months: dict[tuple[str, str], list[Partition]] = {}
    with archive.warehouse.connect() as conn:
        for view in views:
            for partition in ledger.find_partitions(conn, archive.schema, view.name):
                is_small = not partition.is_compacted and partition.partition_date <= last
                if is_small or partition.is_below_target:
                    months.setdefault((view.name, partition.month), []).append(partition)
    return {
        month: partitions
        for month, partitions in months.items()
        if not all(partition.is_compacted for partition in partitions)
    }


def rewrite(
    archive: Archive,
    view: str,
    month: str,
    partitions: Sequence[Partition],
    moved: Mapping[Place, New] | None = None,
    target_bytes: int = TARGET_BYTES,
) -> list[New]:
    """Replace all files of these partitions by new large ones, which are returned.

    Partitions in `moved` get the files given there instead. Raises Damaged where a file that must
    be read is damaged; then nothing changes.
    """
    moved = moved or {}
    old = {partition.path for partition in partitions}
    in_order = sorted(partitions, key=lambda p: (not p.is_compacted, p.place))
    rest = ledger.group_by_path(p for p in in_order if p.place not in moved)
    with archive.warehouse.connect() as conn:
        used = {file.path for file in ledger.list_files(conn, archive.schema)} - old
    names = (folders.large_name(view, month, number) for number in itertools.count())
    with archive.folder.usable():
        new = list(
            _write_large(
                archive,
                {"view": view, "month": month},
                list(rest.values()),
                (name for name in names if name not in used),
                target_bytes,
            )
        )
    archive.confirm()
    swap.replace_files(
        archive.warehouse, archive.folder, archive.schema, old, [*new, *moved.values()]
    )
    return new


def _write_large(
    archive: Archive,
    facts: dict[str, str],
    sources: list[list[Partition]],
    names: Iterator[str],
    target: int,
) -> Iterator[New]:
    """Write files of about the target size under their unfinished names; read back and compare.

    Rows with other columns, as after a change of the view, go into separate files.
    """
    folder = archive.folder
    by_schema: dict[pa.Schema, list[list[Partition]]] = {}
    for source in sources:
        schema = folders.read_schema(folder.path(source[0].path))
        by_schema.setdefault(schema, []).append(source)
    for data, waiting in by_schema.items():
        schema = folders.describe_schema(pa.schema([*PLACE_FIELDS, *data]), facts)
        while waiting:
            name, expected = next(names), dict[Place, Content]()
            with folder.start_file(name, schema, "zstd") as writer:
                while waiting and writer.size < target:
                    source = waiting.pop(0)
                    expected |= {partition.place: partition.content for partition in source}
                    for rows in _read_source(folder, source, schema):
                        writer.write(rows)
                size = writer.close()
            path = folder.path(name)
            actual = folders.read_contents(unfinished(path), None)
            if wrong := content.difference(expected, actual):
                raise Damaged(path, f"what was written is wrong for {wrong}")
            total = sum(expected.values(), Content())
            is_small = size < target * _SMALL
            file = File(name, facts["view"], "zstd", total.rows, total.hash, size, is_small)
            yield New(file, expected)


def _read_source(
    folder: Folder, source: Sequence[Partition], schema: pa.Schema
) -> Iterator[pa.Table]:
    """The rows of partitions of a file, compared with the ledger on the way."""
    path, actual = folder.path(source[0].path), dict[Place, Content]()
    expected = {partition.place: partition.content for partition in source}
    own_place = None if source[0].is_compacted else source[0].place
    for place, rows, piece in folders.read_partitions(path, own_place):
        if place in expected:
            actual[place] = actual.get(place, Content()) + piece
            places = [
                pa.repeat(pa.scalar(value, field.type), rows.num_rows)
                for value, field in zip(place, PLACE_FIELDS, strict=True)
            ]
            yield pa.table([*places, *rows.columns], schema=schema)
    if wrong := content.difference(expected, actual):
        raise Damaged(path, f"its contents for {wrong} are not those archived")
