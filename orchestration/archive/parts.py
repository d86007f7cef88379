"""Write compacted files: rows of other files, with day, underlying and exchange as columns."""

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
_SMALL = 2 / 3  # of the target size: 128 MB of 192


@dataclass(frozen=True)
class Source:
    """A file to compact: its partitions, and the contents of those to take over."""

    path: str
    codec: str
    contents: Mapping[Place, Content]
    everything: frozenset[Place]

    @property
    def place(self) -> Place | None:
        """The place of a file with one partition, which has no column for it."""
        return next(iter(self.everything)) if self.codec == "snappy" else None


def list_sources(
    partitions: Iterable[Partition], without: frozenset[Place] = frozenset()
) -> list[Source]:
    """The files of partitions, compacted ones first, then by day; leaves out `without`."""
    by_path: dict[str, list[Partition]] = {}
    for one in partitions:
        by_path.setdefault(one.path, []).append(one)
    sources = [
        Source(
            path,
            held[0].codec,
            {p.place: p.content for p in held if p.place not in without},
            frozenset(p.place for p in held),
        )
        for path, held in by_path.items()
    ]
    return sorted(sources, key=lambda s: (s.codec == "snappy", min(s.everything)))


def write(
    folder: Folder,
    view: str,
    month: str,
    taken: Iterable[Source],
    numbers: Iterator[int],
    target: int,
) -> list[New]:
    """Write files of about `target` bytes under their unfinished names; read back and compare each.

    Rows with other columns, as after a change of the view, go into separate files. Raises Damaged
    for a source that is not what the ledger says.
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
            for new in _write_parts(folder, view, month, schema, of_schema, numbers, target):
                written.append(new)
    except BaseException:
        discard(folder, written)
        raise
    return written


def discard(folder: Folder, written: Iterable[New]) -> None:
    for new in written:
        folders.unfinished(folder.path(new.file.path)).unlink(missing_ok=True)


def _write_parts(
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
        writer = folders.FileWriter(path, folders.with_facts(whole, facts), "zstd")
        expected: dict[Place, Content] = {}
        try:
            held, count = [], 0
            while rest and writer.size < target:
                source = rest.pop(0)
                expected |= source.contents
                for rows in _read_source(folder, source, whole):
                    held.append(rows)
                    count += rows.num_rows
                    if count >= _GROUP:
                        writer.write(pa.concat_tables(held).replace_schema_metadata())
                        held, count = [], 0
            if held:
                writer.write(pa.concat_tables(held).replace_schema_metadata())
            size = writer.close()
            actual = folders.read_contents(writer.path, None)
            if wrong := content.difference(expected, actual):
                raise Damaged(path, f"what was written is wrong for {_named(wrong[0])}")
        except BaseException:
            writer.abandon()
            raise
        total = sum(expected.values(), Content())
        is_small = size < target * _SMALL
        yield New(File(name, view, "zstd", total.rows, total.hash, size, is_small), expected)


def _read_source(folder: Folder, source: Source, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a source to take over, compared with the ledger on the way."""
    path, contents = folder.path(source.path), dict[Place, Content]()
    for rows in folders.read_batches(path):
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
            contents[place] = contents.get(place, Content()) + one
        if len(source.contents) < len(source.everything):
            rows = rows.filter(pa.array(_select_rows(rows, source)))
        yield rows.select(schema.names).replace_schema_metadata()
    for place, one in source.contents.items():
        if contents.get(place) != one:
            raise Damaged(path, f"its contents for {_named(place)} are not those archived")


def _select_rows(rows: pa.Table, source: Source) -> list[bool]:
    selected = [False] * rows.num_rows
    for place, start, end in content.runs(rows.select(PLACE)):
        if place in source.contents:
            selected[start:end] = [True] * (end - start)
    return selected


def split_by_place(rows: pa.Table) -> Iterator[tuple[Place, pa.Table]]:
    """Rows of a compacted file by partition, without the columns of PLACE; a place may repeat."""
    data = rows.drop_columns(list(PLACE))
    for (day, underlying, exchange), start, end in content.runs(rows.select(PLACE)):
        yield (day, underlying, exchange), data.slice(start, end - start)


def _data_schema(folder: Folder, source: Source) -> pa.Schema:
    schema = folders.read_schema(folder.path(source.path)).remove_metadata()
    return pa.schema([field for field in schema if field.name not in PLACE])


def _named(place: tuple[object, ...]) -> str:
    return " ".join(map(str, place))
