"""Disk that ticks take in QuestDB: its files, compressed by a file system, and as Parquet.

Run by hand: `python -m tests.benchmarks.tick_space --folder DIR` needs 2 kB a tick there.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from loaders.ticks.frame import day_frame
from loaders.ticks.questdb import server
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.settings import QuestdbSettings
from loaders.ticks.tables import MAIN_TICKS
from loaders.tq.tick_archive.files import file_name, write_file
from loaders.tq.tick_archive.folder import TickFolder
from quotemill.ticks.columns import LEVELS, DayKey
from quotemill.ticks.questdb_http import QuestdbHttp

SETTINGS = QuestdbSettings(port=0, fsync=False, min_free_gb=0)
PARQUET = {
    "cairo.partition.encoder.parquet.compression.codec": "zstd",
    "cairo.partition.encoder.parquet.compression.level": "3",
}
FIRST = date(2025, 3, 3)
SESSIONS = ((-11.0, -7.0), (1.0, 2.25), (2.5, 3.5), (5.5, 7.0))  # hours of UTC, by the midnight
PRICE_TICKS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
RECORD, BLOCK = 2**17, 2**12  # ZFS compresses records of 128 KiB and stores blocks of 4 KiB
_MB = 10**6


@dataclass(frozen=True)
class Space:
    """Bytes a tick.

    files    of settled partitions, as their length
    disk     of all files of the server as blocks, once the queue is purged
    written  by the server's process, the queue included
    lz4      of the files as ZFS stores them compressed, by our own count; zstd likewise
    parquet  of the same partitions, converted, with zstd
    archive  of the files of `quotemill ticks archive`
    """

    ticks: int
    files: float
    disk: float
    written: float
    lz4: float
    zstd: float
    parquet: float
    archive: float

    def __str__(self) -> str:
        return (
            f"{self.ticks:,} ticks, bytes a tick: files {self.files:.1f}, disk {self.disk:.1f}, "
            f"written {self.written:.0f}; compressed by records: lz4 {self.lz4:.1f}, "
            f"zstd {self.zstd:.1f}; Parquet {self.parquet:.1f}; "
            f"archive {self.archive:.1f}"
        )


def measure_space(folder: Path, *, levels: Sequence[int], days: int, rows: int) -> Space:
    """Store trading days of one variety for each of `levels`, its depth of the order book."""
    last = FIRST + timedelta(days=days * 2)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        home = Path(name) / "questdb"
        address = server.start(home, SETTINGS, conf=PARQUET)
        store = QuestdbStore(lambda: address, SETTINGS, label="bench")
        http = QuestdbHttp(address)
        try:
            store.prepare()
            # the partition that is written last holds space for more
            store.write_day(_day(0, 1, 2, last + timedelta(days=7)))
            used, written = _used(home), _written(home)
            weekdays = [d for n in range(days * 2) if (d := FIRST + timedelta(n)).weekday() < 5]
            packed, folder = 0, TickFolder(Path(name), "")
            folder.make("benchmark", "")
            for day in weekdays[:days]:
                tables = [_day(n, depth, rows, day) for n, depth in enumerate(levels)]
                store.write_days(tables)
                packed += write_file(folder, file_name(day), tables).size
            written = _written(home) - written
            _await_purge(home)
            disk = _used(home) - used
            ticks, files = _partitions(http)
            lz4 = _compressed(home, pa.Codec("lz4"))
            zstd = _compressed(home, pa.Codec("zstd", compression_level=3))
            http.rows(
                f"alter table {MAIN_TICKS.name} convert partition to parquet where ts < '{last}'"
            )
            http.wait_applied(MAIN_TICKS.name, 600.0)
            _, parquet = _partitions(http)
        finally:
            http.close()
            store.close()
            server.remove(home)
    sizes = (files, disk, written, lz4, zstd, parquet)
    archive = packed / (days * len(levels) * rows)
    return Space(ticks, *(size / ticks for size in sizes), archive=archive)


def _day(number: int, levels: int, rows: int, day: date) -> pa.Table:
    """A day of one variety: prices of its own, a book that moves with them."""
    draw = np.random.default_rng((number, day.toordinal()))
    key = DayKey(f"KQ.m@SHFE.v{number}", f"SHFE.v{number}2605", day)
    step = PRICE_TICKS[number % len(PRICE_TICKS)]
    quoted = _quoted(rows, day, draw, levels, step, base=step * (700 + 137 * number))
    return day_frame(quoted, key, segment_id=number, schedule_hash=f"{number:016x}")


def _quoted(rows: int, day: date, draw: Any, levels: int, step: float, base: float) -> pa.Table:
    """A random walk of the best bid; each change of the book is a half second or more apart."""
    halves = np.concatenate([np.arange(int(a * 7200), int(b * 7200)) for a, b in SESSIONS])
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    chosen = np.sort(draw.choice(halves, min(rows, len(halves)), replace=False))
    count = len(chosen)
    bid = base + np.cumsum(draw.choice([-1, 0, 1], count, p=[0.12, 0.76, 0.12])) * step
    ask = bid + draw.choice([1, 1, 1, 2], count) * step
    last = np.where(draw.random(count) < 0.5, bid, ask)
    lots = draw.poisson(2.0, count) * 2
    volume, amount = np.cumsum(lots), np.cumsum(lots * last * 5.0)
    columns: dict[str, Any] = {
        "datetime_ns": (midnight * 2 + chosen) * 500_000_000,
        "last_price": last,
        "highest": np.maximum.accumulate(last),
        "lowest": np.minimum.accumulate(last),
        "average": np.where(volume > 0, amount / np.maximum(volume, 1) / 5.0, base),
        "volume": volume,
        "amount": amount,
        "open_interest": 200_000 + np.cumsum(draw.integers(-4, 5, count)),
    }
    for level in range(1, LEVELS + 1):
        for side, best, away in (("bid", bid, -step), ("ask", ask, step)):
            moves = draw.integers(-3, 4, count) * (draw.random(count) < 0.5)
            price, lots = best + away * (level - 1), 5 + np.abs(np.cumsum(moves)) % 90
            there = level <= levels
            columns[f"{side}_price{level}"] = price if there else pa.nulls(count, pa.float64())
            columns[f"{side}_volume{level}"] = lots if there else pa.nulls(count, pa.int64())
    return pa.table(columns)


def _partitions(http: QuestdbHttp) -> tuple[int, int]:
    """Ticks and bytes of all settled partitions."""
    (row,) = http.rows(
        "select sum(numRows) as ticks, sum(diskSize) as files "
        f"from table_partitions('{MAIN_TICKS.name}') where not active"
    )
    return row["ticks"], row["files"]


def _compressed(home: Path, codec: pa.Codec) -> int:
    """Bytes of all settled partitions as records that are compressed one by one."""
    folders = sorted((home / "db").glob(f"{MAIN_TICKS.name}~*/2*"))[:-1]
    return sum(
        _stored_size(record, codec)
        for file in (file for folder in folders for file in folder.iterdir())
        for record in _records(file)
    )


def _records(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while record := opened.read(RECORD):
            yield record


def _stored_size(record: bytes, codec: pa.Codec) -> int:
    """Whole blocks; a record that shrinks by less than an eighth stays as it is."""
    plain, packed = (
        -(-size // BLOCK) * BLOCK
        for size in (len(record), len(codec.compress(record, asbytes=True)))
    )
    return packed if packed <= plain * 7 / 8 else plain


def _used(home: Path) -> int:
    """Blocks of all files of the server; some are deleted meanwhile."""
    blocks = 0
    for parent, _, names in os.walk(home):
        for name in names:
            with contextlib.suppress(OSError):
                blocks += (Path(parent) / name).lstat().st_blocks
    return blocks * 512


def _written(home: Path) -> int:
    """Bytes that the server has caused to be written; of its mapped files too."""
    text = Path(f"/proc/{server.status(home).pid}/io").read_text()
    return int(text.partition("\nwrite_bytes: ")[2].split()[0])


def _await_purge(home: Path) -> None:
    """Wait until the server has deleted what it needs no more: sizes stand still."""
    sizes: list[int] = []
    while len(sizes) < 4 or len(set(sizes[-4:])) > 1:
        sizes.append(_used(home) // _MB)
        time.sleep(5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--levels", type=int, nargs="+", default=[5, 1, 1], metavar="N")
    for name, default in (("days", 5), ("rows", 30_000)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    print(measure_space(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
