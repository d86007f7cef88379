"""The archive's folder: file names, atomic writing, reading back.

    view=chain_intraday/date=2026-11-24/underlying=AAPL/exchange=SMART/part-0.parquet   Snappy
    view=chain_intraday/month=2026-11/part-0.parquet      compacted: ZSTD, with the columns of PLACE

An unfinished file is called `.part-0.parquet.new`, which pyarrow and DuckDB patterns skip.
"""

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loaders.errors import DataQualityError, QuotemillError, SettingsError
from loaders.settings import Settings
from loaders.warehouse.postgres import Warehouse
from orchestration.archive import content
from orchestration.archive.content import Content
from orchestration.archive.rows import Place
from orchestration.archive.views import PLACE

_GROUP = 65_536  # rows of a row group, and rows read at a time
_ZSTD_LEVEL = 7
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_METADATA = b"quotemill"
_OWNER = ".owner.json"  # readers of the folder skip it


class Damaged(DataQualityError):
    """A file of the archive is missing, or not what was written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}", hint="restore the file from a copy of the archive")


@dataclass(frozen=True)
class Folder:
    """The folder of a warehouse's archive. `origin` says where it was set."""

    root: Path
    origin: str

    def path(self, name: str) -> Path:
        return self.root / name

    @contextmanager
    def usable(self) -> Iterator[None]:
        """Turn errors of the file system into messages."""
        try:
            yield
        except OSError as error:
            if isinstance(error, pa.ArrowException) and error.errno is None:
                raise
            if error.errno in _NO_ROOM:
                raise QuotemillError(
                    f"no room left for the archive in {self.root}",
                    hint="free some space, or set ib.archive_folder to a larger disk and move the "
                    "archive there; running again finishes",
                ) from None
            raise SettingsError(
                f"the archive's folder {self.root} ({self.origin}) cannot be used: "
                f"{error.strerror or error}",
                hint="ib.archive_folder names a folder that this user may write",
            ) from None

    def require_own(self, warehouse_id: str) -> None:
        """Raises SettingsError where the folder is another warehouse's archive."""
        try:
            owner = json.loads(self.path(_OWNER).read_text("utf-8"))
        except OSError:
            return  # a new folder; an unreadable one fails at its first file
        if owner["warehouse_id"] != warehouse_id:
            raise SettingsError(
                f"{self.root} ({self.origin}) is the archive of another warehouse "
                f"({owner['label']})",
                hint="set ib.archive_folder to a folder of its own; or, if this warehouse replaces "
                f"that one, delete {self.path(_OWNER)}",
            )

    def make(self, warehouse_id: str, label: str) -> None:
        """Create the folder for this warehouse.

        Raises SettingsError where it cannot be written, or is another's.
        """
        with self.usable():
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
            with (
                contextlib.suppress(FileExistsError),  # of two at the same time one is refused
                self.path(_OWNER).open("x", encoding="utf-8") as file,
            ):
                json.dump({"warehouse_id": warehouse_id, "label": label}, file)
        self.require_own(warehouse_id)


def archive_folder(settings: Settings, warehouse: Warehouse) -> Folder:
    """The folder by the settings; a second market schema has its own."""
    name = "ib.archive_folder"
    root = settings.ib.archive_folder or settings.home / "archive"
    options = warehouse.inner_schema("options")
    return Folder(root if options == "options" else root / options, settings.origin(name))


def partition_name(view: str, place: Place) -> str:
    day, underlying, exchange = place
    return (
        f"view={view}/date={day}/underlying={quote(underlying, safe='')}"
        f"/exchange={quote(exchange, safe='')}/part-0.parquet"
    )


def part_name(view: str, month: str, number: int) -> str:
    return f"view={view}/month={month}/part-{number}.parquet"


def unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


class FileWriter:
    """A file under its unfinished name; `size` grows by row groups."""

    def __init__(self, path: Path, schema: pa.Schema, codec: str) -> None:
        self.path = unfinished(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("wb")
        level = {"compression_level": _ZSTD_LEVEL} if codec == "zstd" else {}
        try:
            self._writer = pq.ParquetWriter(self._file, schema, compression=codec, **level)
        except BaseException:
            self._remove()
            raise

    @property
    def size(self) -> int:
        return self._file.tell()

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, row_group_size=_GROUP)

    def close(self) -> int:
        """Finish the file; return its size in bytes."""
        self._writer.close()
        size = self._file.tell()
        self._file.close()
        return size

    def abandon(self) -> None:
        with contextlib.suppress(Exception):
            self._writer.close()
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):  # a full disk has no room for the buffer
            self._file.close()
        self.path.unlink(missing_ok=True)


def write(path: Path, rows: pa.Table, facts: dict[str, object], codec: str = "snappy") -> int:
    """Write one partition under its unfinished name; return its size. `facts` become metadata."""
    schema = with_facts(rows.schema, facts)
    writer = FileWriter(path, schema, codec)
    try:
        writer.write(rows.replace_schema_metadata(schema.metadata))
        return writer.close()
    except BaseException:
        writer.abandon()
        raise


def with_facts(schema: pa.Schema, facts: dict[str, object]) -> pa.Schema:
    return schema.with_metadata({_METADATA: json.dumps(facts, default=str).encode()})


def rename_all(paths: Sequence[Path], root: Path) -> None:
    """Rename unfinished files to their final names, replacing older ones.

    Bytes are on disk before the rename, names when it returns: safe against a power cut.
    """
    sync([unfinished(path) for path in paths if unfinished(path).exists()])
    folders: set[Path] = set()
    for path in paths:
        if unfinished(path).exists():
            rename(path)
        folders.update(level for level in path.parents if level.is_relative_to(root))
    sync(sorted(folders))


def rename(path: Path) -> None:
    unfinished(path).replace(path)


def sync(paths: Sequence[Path]) -> None:
    """Flush files to disk, several at a time."""
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(_sync, paths):
            pass


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path, root: Path) -> None:
    """Remove a file and the folders it leaves empty."""
    path.unlink(missing_ok=True)
    for level in path.parents:
        if level == root or not level.is_relative_to(root):
            return
        try:
            level.rmdir()
        except OSError:  # not empty, or gone
            if level.exists():
                return


def read_batches(path: Path, day: date | None = None) -> Iterator[pa.Table]:
    """The rows of a file in its order, in batches; of a compacted one those of `day`, if given.

    Raises Damaged.
    """
    with _readable(path), path.open("rb") as source, pq.ParquetFile(source) as file:
        groups = list(range(file.num_row_groups))
        if day is not None:
            groups = [n for n in groups if _may_contain(file.metadata.row_group(n), day)]
        if not groups:
            return
        for batch in file.iter_batches(_GROUP, row_groups=groups, use_threads=False):
            rows = pa.Table.from_batches([batch], file.schema_arrow)
            yield rows if day is None else rows.filter(pc.equal(rows["date"], day))


def _may_contain(group: pq.RowGroupMetaData, day: date) -> bool:
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "date" and column.is_stats_set:
            return bool(column.statistics.min <= day <= column.statistics.max)
    return True


def read_schema(path: Path) -> pa.Schema:
    """Read the schema of a file. Raises Damaged."""
    with _readable(path):
        return pq.read_schema(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise Damaged(path, "the file is missing") from None
    except PermissionError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except (OSError, pa.ArrowException) as error:
        raise Damaged(path, f"the file cannot be read: {str(error).splitlines()[0]}") from None


def read_contents(path: Path, place: Place | None) -> dict[Place, Content]:
    """The contents of a file by partition; `place` is that of a file with one. Raises Damaged."""
    contents: dict[Place, Content] = {}
    for rows in read_batches(path):
        if place is not None:
            by = {place: content.content(rows)}
        else:
            data = rows.select([name for name in rows.column_names if name not in PLACE])
            by = content.content_by(data, rows.select(PLACE))
        for key, one in by.items():
            contents[key] = contents.get(key, Content()) + one
    return contents


def check_size(path: Path, size: int) -> None:
    """Raises Damaged where the file is missing, unreachable, or of another size."""
    with _readable(path):
        actual = path.stat().st_size
    if actual != size:
        raise Damaged(path, f"{actual:,} bytes, {size:,} were written")
