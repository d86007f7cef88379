"""The archive's folder: file names, atomic writing, reading back.

    view=chain_intraday/date=2026-11-24/underlying=AAPL/exchange=SMART/part-0.parquet   Snappy
    view=chain_intraday/month=2026-11/part-0.parquet      compacted: ZSTD, with the columns of PLACE

An unfinished file is called `.part-0.parquet.new`, which pyarrow and DuckDB patterns skip.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loaders.files.folder import OwnedFolder, readable
from loaders.files.whole_file import unfinished
from loaders.settings import Settings
from orchestration.archive import content
from orchestration.archive.content import Content
from orchestration.archive.views import PLACE, Place
from quotemill.errors import DataQualityError
from quotemill.settings.folders import require_absolute
from quotemill.warehouse.postgres import Warehouse

_GROUP = 65_536  # rows of a row group, and rows read at a time
_WAITING = 65_536  # rows that are written together
_ZSTD_LEVEL = 7
_METADATA = b"quotemill"


class Damaged(DataQualityError):
    """A file of the archive is missing, or not what was written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}", hint="Restore the file from a copy of the archive.")


@dataclass(frozen=True)
class Folder(OwnedFolder):
    """The folder of a warehouse's archive.

    pending: paths whose unfinished files nobody finishes if the command ends now
    """

    kind: ClassVar[str] = "the archive"
    setting: ClassVar[str] = "ib.archive_folder"
    pending: set[Path] = field(default_factory=set, compare=False)

    def start_file(self, name: str, schema: pa.Schema, codec: str) -> "FileWriter":
        """Open an unfinished file of this name."""
        self.pending.add(self.path(name))
        return FileWriter(self.path(name), schema, codec)

    def discard_pending(self) -> None:
        while self.pending:
            with contextlib.suppress(OSError):  # the error that came before says more
                unfinished(self.pending.pop()).unlink()

    def finish(self, names: Iterable[str]) -> None:
        super().finish(names := [*names])
        self.pending.difference_update(map(self.path, names))


def archive_root(settings: Settings) -> Path:
    """The folder by the settings. Raises SettingsError for a relative one of a variable."""
    if settings.ib.archive_folder is None:
        return settings.home / "archive"
    return require_absolute(settings, "ib.archive_folder", settings.ib.archive_folder)


def archive_folder(settings: Settings, warehouse: Warehouse) -> Folder:
    """The folder of this warehouse; a second market schema has its own. Raises SettingsError."""
    root, options = archive_root(settings), warehouse.inner_schema("options")
    folder = root if options == "options" else root / options
    return Folder(folder, settings.origin("ib.archive_folder"))


def partition_name(view: str, place: Place) -> str:
    day, underlying, exchange = place
    return (
        f"view={view}/date={day}/underlying={quote(underlying, safe='')}"
        f"/exchange={quote(exchange, safe='')}/part-0.parquet"
    )


def large_name(view: str, month: str, number: int) -> str:
    return f"view={view}/month={month}/part-{number}.parquet"


class FileWriter:
    """A file under its unfinished name. Rows are written in row groups, by which `size` grows."""

    def __init__(self, path: Path, schema: pa.Schema, codec: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = unfinished(path).open("wb")
        self._waiting: list[pa.Table] = []
        level = {"compression_level": _ZSTD_LEVEL} if codec == "zstd" else {}
        self._writer = pq.ParquetWriter(self._file, schema, compression=codec, **level)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # closed already, or abandoned: a full disk has no room for the rest
        with contextlib.suppress(Exception):
            self._writer.close()
        with contextlib.suppress(OSError):
            self._file.close()

    @property
    def size(self) -> int:
        return self._file.tell()

    def write(self, rows: pa.Table) -> None:
        self._waiting.append(rows)
        if sum(table.num_rows for table in self._waiting) >= _WAITING:
            self._flush()

    def close(self) -> int:
        """Finish the file; return its size in bytes."""
        self._flush()
        self._writer.close()
        size = self.size
        self._file.close()
        return size

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=_GROUP)
            self._waiting.clear()


def describe_schema(schema: pa.Schema, facts: Mapping[str, object]) -> pa.Schema:
    """The schema of a file, with what it holds as metadata."""
    return schema.with_metadata({_METADATA: json.dumps(dict(facts), default=str).encode()})


def read_batches(path: Path, day: date | None = None) -> Iterator[pa.Table]:
    """The rows of a file in its order, in batches; of a compacted one those of `day`, if given.

    Raises Damaged.
    """
    with readable(path, Damaged), path.open("rb") as source, pq.ParquetFile(source) as file:
        groups = []
        for number in range(file.num_row_groups):
            dates = file.metadata.row_group(number).column(0).statistics  # PLACE comes first
            if day is None or dates is None or dates.min <= day <= dates.max:
                groups.append(number)
        for batch in file.iter_batches(_GROUP, row_groups=groups, use_threads=False):
            rows = pa.Table.from_batches([batch], file.schema_arrow)
            yield rows if day is None else rows.filter(pc.equal(rows["date"], day))


def read_schema(path: Path) -> pa.Schema:
    """The schema of a file without the columns of PLACE. Raises Damaged."""
    with readable(path, Damaged):
        return pa.schema([field for field in pq.read_schema(path) if field.name not in PLACE])


def read_partitions(
    path: Path, place: Place | None, day: date | None = None
) -> Iterator[tuple[Place, pa.Table, Content]]:
    """The rows of a file by partition, without the columns of PLACE, and their contents.

    `place` is that of a file with one partition. A partition may come in pieces. Raises Damaged.
    """
    for rows in read_batches(path, day):
        data = rows if place is not None else rows.drop_columns(list(PLACE))
        hashes = content.row_hashes(data)
        whole: list[tuple[Any, int, int]] = [(place, 0, rows.num_rows)]
        for key, start, end in content.runs(rows.select(PLACE)) if place is None else whole:
            yield key, data.slice(start, end - start), content.sum_hashes(hashes[start:end])


def read_contents(path: Path, place: Place | None) -> dict[Place, Content]:
    """The contents of a file by partition. Raises Damaged."""
    contents: dict[Place, Content] = {}
    for key, _, piece in read_partitions(path, place):
        contents[key] = contents.get(key, Content()) + piece
    return contents
