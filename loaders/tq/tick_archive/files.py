"""Files of archived ticks: one of a trading day, one row group of a series, by ts and seq.

The columns are those of TICKS. The file's metadata list its days with rows and hash, so its end
alone says which ticks it has. The index has the sha256 of the file, whose ticks were read back when
it was written; page checksums and a day's hash prove the ticks that are read.
"""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from loaders.engine.progress import Reporter
from loaders.files.folder import readable
from loaders.files.whole_file import hash_file, unfinished
from loaders.ticks.day_hash import measured
from loaders.ticks.frame import key_of, stamp_day
from loaders.ticks.store import IndexRow, StoredDay
from loaders.tq.tick_archive.folder import TickFolder
from quotemill.errors import DataQualityError
from quotemill.ticks.columns import TICKS, DayKey

_METADATA = b"quotemill"
_MAGIC = b"PAR1"  # at both ends of a file
_READERS = 4  # files that are read at once
_REWRITE = (
    "its bytes are not those that were written, though its ticks are: `quotemill ticks restore "
    "--date {}`, and then `quotemill ticks archive`, replace it"
)
_LEVEL = 7  # of ZSTD: a higher one takes four times as long for a hundredth
# values that rise, or hardly repeat; a dictionary suits all others
_ENCODINGS = {
    "ts": "DELTA_BINARY_PACKED",
    "datetime_ns": "DELTA_BINARY_PACKED",
    "volume": "DELTA_BINARY_PACKED",
    "amount": "BYTE_STREAM_SPLIT",
    "average": "BYTE_STREAM_SPLIT",
}


class Damaged(DataQualityError):
    """A file of the archive is missing, or is not the one that the index names.

    `has_ticks`: the ticks of the day are in it nevertheless.
    """

    def __init__(self, path: Path, why: str, *, has_ticks: bool = False) -> None:
        super().__init__(
            f"{path}: {why}",
            hint="put a copy of the file there, or `loaders verify tq --repair` downloads its days",
        )
        self.has_ticks = has_ticks


class WrittenFile(NamedTuple):
    """A file on disk."""

    size: int
    sha256: str


class _RowGroup(NamedTuple):
    """The record of a day at the end of a file."""

    number: int
    trading_day: str
    rows: int
    row_hash: str


def file_name(trading_day: date) -> str:
    return f"{trading_day.year}/{trading_day}.parquet"


def write_file(folder: TickFolder, name: str, days: Sequence[pa.Table]) -> WrittenFile:
    """Write the ticks (TICKS) of a trading day's series, and read them back.

    The file gets its name once it is on disk and equal, in place of an earlier one. Raises
    DataQualityError where it is not; SettingsError where the folder is gone since it was made.
    """
    folder.require_still_there()
    path = folder.path(name)
    part = unfinished(path)
    with folder.usable():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(part, days)
            data = part.read_bytes()
            try:
                _require_equal(part, data, days)
            except Damaged as error:
                raise DataQualityError(
                    f"{error}: it is not what was written, and its day stays in the store",
                    hint="check the disk and the memory of this machine, then archive again",
                ) from None
            folder.finish([name])
        finally:
            part.unlink(missing_ok=True)
    return WrittenFile(len(data), hashlib.sha256(data).hexdigest())


def _write(part: Path, days: Sequence[pa.Table]) -> None:
    facts = {"days": [_facts(day) for day in days]}
    schema = TICKS.with_metadata({_METADATA: json.dumps(facts).encode()})
    with pq.ParquetWriter(
        part,
        schema,
        compression="zstd",
        compression_level=_LEVEL,
        use_dictionary=[name for name in TICKS.names if name not in _ENCODINGS],
        column_encoding=_ENCODINGS,
        write_page_checksum=True,
    ) as writer:
        for day in days:
            writer.write_table(day, row_group_size=day.num_rows)


def _facts(day: pa.Table) -> dict[str, Any]:
    key, seen = key_of(day), measured(day)
    return {"symbol": key.symbol, "contract": key.contract} | {
        "trading_day": str(key.trading_day),
        "rows": seen.rows,
        "row_hash": seen.row_hash,
    }


def _row_group(number: int, day: pa.Table) -> _RowGroup:
    facts = _facts(day)
    return _RowGroup(number, *(facts[name] for name in _RowGroup._fields[1:]))


def _require_equal(part: Path, data: bytes, days: Sequence[pa.Table]) -> None:
    """Raises Damaged unless the file's bytes have exactly these ticks, all columns of them."""
    with readable(part, Damaged), _open(pa.BufferReader(data)) as file:
        listed = _row_groups(part, file.schema_arrow)
        for number, day in enumerate(days):
            if listed.get(key_of(day).symbol) != _row_group(number, day):
                raise Damaged(part, f"it lists {key_of(day).contract} otherwise than written")
            if not file.read_row_group(number).cast(TICKS).equals(day):
                raise Damaged(part, f"{key_of(day).contract} reads back otherwise than written")


def read_day(folder: TickFolder, row: StoredDay, columns: Sequence[str] = ()) -> pa.Table:
    """TICKS of an archived day, with the stamp of its index row; `columns`: these alone.

    Raises Damaged where they are not those of the index.
    """
    assert row.archive_file is not None
    path = folder.path(row.archive_file)
    with readable(path, Damaged), _open(path) as file:
        group = _row_groups(path, file.schema_arrow).get(row.symbol)
        if group is None or group.trading_day != str(row.trading_day):
            raise Damaged(path, f"it has no ticks of {row.contract}")
        ticks = file.read_row_group(group.number).cast(TICKS)
    if differences := row.find_differences(measured(ticks)):
        raise Damaged(path, f"{row.contract}: {'; '.join(differences)}")
    return ticks.select(columns) if columns else stamp_day(ticks, row)


def find_damage(
    folder: TickFolder, rows: Iterable[IndexRow], reporter: Reporter
) -> dict[DayKey, Damaged]:
    """Why files are not those of their index rows, by day.

    All their bytes are read, and all ticks of a file whose bytes are not those that were written.
    """
    files: dict[str, list[IndexRow]] = defaultdict(list)
    for row in rows:
        if row.archive_file is not None:
            files[row.archive_file].append(row)
    reporter.start("files of the archive", len(files))
    damage: dict[DayKey, Damaged] = {}
    with ThreadPoolExecutor(_READERS) as pool:
        for damaged in pool.map(lambda days: _check_file(folder, days), files.values()):
            damage |= damaged
            reporter.advance("files of the archive", 1)
    return damage


def _check_file(folder: TickFolder, rows: Sequence[IndexRow]) -> dict[DayKey, Damaged]:
    """Why a file is not that of its index rows, by day."""
    path, damage = folder.path(str(rows[0].archive_file)), {}
    try:
        with readable(path, Damaged):
            sha256, groups = hash_file(path), _row_groups(path, pq.read_schema(path))
    except Damaged as error:
        return {row.key: error for row in rows}
    for row in rows:
        try:
            _require_listed(path, groups, row)
            if sha256 != row.archive_sha256:
                read_day(folder, row)
                if row.archive_sha256 is not None:
                    raise Damaged(path, _REWRITE.format(row.trading_day), has_ticks=True)
        except Damaged as error:
            damage[row.key] = error
    return damage


def _require_listed(path: Path, groups: Mapping[str, _RowGroup], row: StoredDay) -> None:
    """Compare a day with the end of its file. Raises Damaged."""
    group = groups.get(row.symbol)
    if group is None:
        raise Damaged(path, f"it has no ticks of {row.contract}")
    if group[1:] != (str(row.trading_day), row.rows, row.row_hash):
        raise Damaged(path, f"its ticks of {row.contract} are not those of the index")


def find_lost_files(folder: TickFolder, names: Iterable[str]) -> list[str]:
    """Files that are missing or have lost an end, as `NAME: why`. Some microseconds a file."""
    lost = []
    for name in sorted(set(names)):
        try:
            with folder.path(name).open("rb") as file:
                start = file.read(len(_MAGIC))
                file.seek(-len(_MAGIC), os.SEEK_END)
                if (start, file.read()) != (_MAGIC, _MAGIC):
                    lost.append(f"{name}: not a whole Parquet file")
        except OSError as error:
            lost.append(f"{name}: {error.strerror}")
    return lost


def _open(file: Path | pa.BufferReader) -> pq.ParquetFile:
    return pq.ParquetFile(file, page_checksum_verification=True)


def _row_groups(path: Path, schema: pa.Schema) -> Mapping[str, _RowGroup]:
    """The row groups by series. Raises Damaged."""
    try:
        days = json.loads((schema.metadata or {})[_METADATA])["days"]
        return {
            day["symbol"]: _RowGroup(number, *(day[name] for name in _RowGroup._fields[1:]))
            for number, day in enumerate(days)
        }
    except (KeyError, TypeError, ValueError):
        raise Damaged(path, "not a file that `quotemill ticks archive` wrote") from None
