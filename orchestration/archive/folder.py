"""The archive's folder: names of files, writing one so that it is whole or not there, reading it back.

    view=chain_intraday/date=2026-11-24/underlying=AAPL/exchange=SMART/part-0.parquet     Snappy
    view=chain_intraday/month=2026-11/part-0.parquet        compacted: ZSTD, with the columns of PLACE

An unfinished file is called `.part-0.parquet.new`: neither pyarrow nor a pattern of DuckDB takes it for data.
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

_GROUP = 65_536  # rows of a row group, and rows that are read at once
_ZSTD_LEVEL = 7
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_METADATA = b"quotemill"
_OWNER = ".owner.json"  # no reader of the folder takes it for data


class Damaged(DataQualityError):
    """A file of the archive is gone, or not what was written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}", hint="bring the file back from a copy of the archive")


@dataclass(frozen=True)
class Folder:
    """Where the archive of a warehouse's views lies. `origin` says where that was set."""

    root: Path
    origin: str

    def path(self, name: str) -> Path:
        return self.root / name

    @contextmanager
    def usable(self) -> Iterator[None]:
        """Turns what goes wrong with the file system into words."""
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
        """Raises SettingsError where the folder is the archive of another warehouse, which would find its
        files overwritten."""
        try:
            owner = json.loads(self.path(_OWNER).read_text("utf-8"))
        except OSError:
            return  # a new folder; one that cannot be read is told with its first file
        if owner["warehouse_id"] != warehouse_id:
            raise SettingsError(
                f"{self.root} ({self.origin}) is the archive of another warehouse ({owner['label']})",
                hint="name a folder of its own by ib.archive_folder; or, where this warehouse is in "
                f"place of that one, delete {self.path(_OWNER)}",
            )

    def make(self, warehouse_id: str, label: str) -> None:
        """Have the folder, of this warehouse. Raises SettingsError where it cannot be written, or is another's."""
        with self.usable():
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
            with (
                contextlib.suppress(FileExistsError),  # of two that begin at once, one is refused
                self.path(_OWNER).open("x", encoding="utf-8") as file,
            ):
                json.dump({"warehouse_id": warehouse_id, "label": label}, file)
        self.require_own(warehouse_id)


def folder_of(settings: Settings, warehouse: Warehouse) -> Folder:
    """A second market schema has views of its own, and a folder of its own."""
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


# -- writing ------------------------------------------------------------------------------------


class Writing:
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
        """Its size in bytes."""
        self._writer.close()
        size = self._file.tell()
        self._file.close()
        return size

    def abandon(self) -> None:
        with contextlib.suppress(Exception):
            self._writer.close()
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):  # a full disk has no room for what is buffered
            self._file.close()
        self.path.unlink(missing_ok=True)


def write(path: Path, rows: pa.Table, facts: dict[str, object], codec: str = "snappy") -> int:
    """A file of one partition under its unfinished name; its size. `facts` go into its metadata."""
    schema = with_facts(rows.schema, facts)
    writing = Writing(path, schema, codec)
    try:
        writing.write(rows.replace_schema_metadata(schema.metadata))
        return writing.close()
    except BaseException:
        writing.abandon()
        raise


def with_facts(schema: pa.Schema, facts: dict[str, object]) -> pa.Schema:
    return schema.with_metadata({_METADATA: json.dumps(facts, default=str).encode()})


def settle(paths: Sequence[Path], root: Path) -> None:
    """Give unfinished files their names, in the place of those that have them. Their bytes are on the disk
    before that, the names when it returns: a power cut takes neither."""
    sync([unfinished(path) for path in paths if unfinished(path).exists()])
    folders: set[Path] = set()
    for path in paths:
        if unfinished(path).exists():
            finish(path)
        folders.update(level for level in path.parents if level.is_relative_to(root))
    sync(sorted(folders))


def finish(path: Path) -> None:
    unfinished(path).replace(path)


def sync(paths: Sequence[Path]) -> None:
    """Several at a time: a disk that writes them through takes them together."""
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
    """Remove a file, and the folders that it leaves empty."""
    path.unlink(missing_ok=True)
    for level in path.parents:
        if level == root or not level.is_relative_to(root):
            return
        try:
            level.rmdir()
        except OSError:  # not empty, or gone
            if level.exists():
                return


# -- reading ------------------------------------------------------------------------------------


def batches(path: Path, day: date | None = None) -> Iterator[pa.Table]:
    """The rows of a file as they lie, some at a time; of a compacted one only those of `day`, if one is
    given. Raises Damaged."""
    with _readable(path), path.open("rb") as source, pq.ParquetFile(source) as file:
        groups = list(range(file.num_row_groups))
        if day is not None:
            groups = [n for n in groups if _may_have(file.metadata.row_group(n), day)]
        if not groups:
            return
        for batch in file.iter_batches(_GROUP, row_groups=groups, use_threads=False):
            rows = pa.Table.from_batches([batch], file.schema_arrow)
            yield rows if day is None else rows.filter(pc.equal(rows["date"], day))


def _may_have(group: pq.RowGroupMetaData, day: date) -> bool:
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "date" and column.is_stats_set:
            return bool(column.statistics.min <= day <= column.statistics.max)
    return True


def read_schema(path: Path) -> pa.Schema:
    """Raises Damaged."""
    with _readable(path):
        return pq.read_schema(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise Damaged(path, "the file is gone") from None
    except PermissionError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except (OSError, pa.ArrowException) as error:
        raise Damaged(path, f"the file cannot be read: {str(error).splitlines()[0]}") from None


def contents_of(path: Path, place: Place | None) -> dict[Place, Content]:
    """What a file gives back, by partition; `place` is that of a file that holds one. Raises Damaged."""
    found: dict[Place, Content] = {}
    for rows in batches(path):
        if place is not None:
            by = {place: content.content(rows)}
        else:
            data = rows.select([name for name in rows.column_names if name not in PLACE])
            by = content.content_by(data, rows.select(PLACE))
        for key, one in by.items():
            found[key] = found.get(key, Content()) + one
    return found


def check_size(path: Path, size: int) -> None:
    """Raises Damaged where the file is not there, cannot be reached, or is of another size."""
    with _readable(path):
        found = path.stat().st_size
    if found != size:
        raise Damaged(path, f"{found:,} bytes, {size:,} were written")
