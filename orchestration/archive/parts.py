"""Compacted files: the rows of others, in their order, with day, underlying and exchange as columns."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from orchestration.archive import content
from orchestration.archive import folder as folders
from orchestration.archive.content import Content
from orchestration.archive.folder import Damaged, Folder
from orchestration.archive.ledger import File, Partition
from orchestration.archive.rows import Place
from orchestration.archive.swap import New
from orchestration.archive.views import PLACE

_GROUP = 65_536
_LEAST = 2 / 3  # of the size that is aimed at: 128 MB of 192


@dataclass(frozen=True)
class Source:
    """A file that goes into others, and the partitions of it that shall."""

    path: str
    codec: str
    contents: Mapping[Place, Content]
    everything: frozenset[Place]

    @property
    def place(self) -> Place | None:
        """Of a file of one partition, which has no column for it."""
        return next(iter(self.everything)) if self.codec == "snappy" else None


def sources(
    partitions: Iterable[Partition], without: frozenset[Place] = frozenset()
) -> list[Source]:
    """The files of partitions, compacted ones first, then by day; less those of `without`."""
    by_path: dict[str, list[Partition]] = {}
    for one in partitions:
        by_path.setdefault(one.path, []).append(one)
    found = [
        Source(
            path,
            held[0].codec,
            {p.place: p.content for p in held if p.place not in without},
            frozenset(p.place for p in held),
        )
        for path, held in by_path.items()
    ]
    return sorted(found, key=lambda s: (s.codec == "snappy", min(s.everything)))


def write(
    folder: Folder,
    view: str,
    month: str,
    taken: Iterable[Source],
    numbers: Iterator[int],
    target: int,
) -> list[New]:
    """Files of about `target` bytes under their unfinished names, each read back and compared.

    Rows of other columns, as after a change of the view, go into files of their own. Raises Damaged for a
    source that is not what the ledger says.
    """
    by_schema: dict[pa.Schema, list[Source]] = {}
    schemas: list[pa.Schema] = []
    for source in taken:
        schema = _data_schema(folder, source)
        known = next((s for s in schemas if s.equals(schema)), None)
        if known is None:
            schemas.append(known := schema)
        by_schema.setdefault(known, []).append(source)
    written: list[New] = []
    try:
        for schema, of_schema in by_schema.items():
            for new in _parts(folder, view, month, schema, of_schema, numbers, target):
                written.append(new)
    except BaseException:
        discard(folder, written)
        raise
    return written


def discard(folder: Folder, written: Iterable[New]) -> None:
    for new in written:
        folders.unfinished(folder.path(new.file.path)).unlink(missing_ok=True)


def _parts(
    folder: Folder,
    view: str,
    month: str,
    schema: pa.Schema,
    taken: list[Source],
    numbers: Iterator[int],
    target: int,
) -> Iterator[New]:
    whole = pa.schema(
        [
            pa.field("date", pa.date32()),
            pa.field("underlying", pa.string()),
            pa.field("exchange", pa.string()),
            *schema,
        ]
    )
    rest = [source for source in taken if source.contents]
    while rest:
        name = folders.part_name(view, month, next(numbers))
        path = folder.path(name)
        facts: dict[str, object] = {"view": view, "month": month}
        writing = folders.Writing(path, folders.with_facts(whole, facts), "zstd")
        expected: dict[Place, Content] = {}
        try:
            held, count = [], 0
            while rest and writing.size < target:
                source = rest.pop(0)
                expected |= source.contents
                for rows in _rows(folder, source, whole):
                    held.append(rows)
                    count += rows.num_rows
                    if count >= _GROUP:
                        writing.write(pa.concat_tables(held).replace_schema_metadata())
                        held, count = [], 0
            if held:
                writing.write(pa.concat_tables(held).replace_schema_metadata())
            size = writing.close()
            found = folders.contents_of(writing.path, None)
            if wrong := content.difference(expected, found):
                raise Damaged(path, f"what was written does not give back {_named(wrong[0])}")
        except BaseException:
            writing.abandon()
            raise
        total = sum(expected.values(), Content())
        is_small = size < target * _LEAST
        yield New(File(name, view, "zstd", total.rows, total.hash, size, is_small), expected)


def _rows(folder: Folder, source: Source, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a source that shall be kept, compared with the ledger as they go by."""
    path, found = folder.path(source.path), dict[Place, Content]()
    for rows in folders.batches(path):
        if source.place is not None:
            data = rows
            by: dict[Place, Content] = {source.place: content.content(rows)}
            for name, value in zip(PLACE, source.place, strict=True):
                column = pa.array([value] * rows.num_rows, schema.field(name).type)
                rows = rows.append_column(name, column)
        else:
            data = rows.select([name for name in rows.column_names if name not in PLACE])
            by = content.content_by(data, rows.select(PLACE))
        for place, one in by.items():
            found[place] = found.get(place, Content()) + one
        if len(source.contents) < len(source.everything):
            rows = rows.filter(pa.array(_kept(rows, source)))
        yield rows.select(schema.names).replace_schema_metadata()
    for place, one in source.contents.items():
        if found.get(place) != one:
            raise Damaged(path, f"it does not give back {_named(place)} as it was archived")


def _kept(rows: pa.Table, source: Source) -> list[bool]:
    kept = [False] * rows.num_rows
    for place, begin, end in content.runs(rows.select(PLACE)):
        if place in source.contents:
            kept[begin:end] = [True] * (end - begin)
    return kept


def split(rows: pa.Table) -> Iterator[tuple[Place, pa.Table]]:
    """Rows of a compacted file by partition, without the columns of PLACE; one may come more than once."""
    data = rows.drop_columns(list(PLACE))
    for (day, underlying, exchange), begin, end in content.runs(rows.select(PLACE)):
        yield (day, underlying, exchange), data.slice(begin, end - begin)


def _data_schema(folder: Folder, source: Source) -> pa.Schema:
    schema = folders.read_schema(folder.path(source.path)).remove_metadata()
    return pa.schema([field for field in schema if field.name not in PLACE])


def _named(place: tuple[object, ...]) -> str:
    return " ".join(map(str, place))
