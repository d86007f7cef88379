"""Recorded ticks of contracts: files that the program of the client wrote.

Ticks have numbers without holes. A number that no file has passed while nothing recorded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loaders.tq.trading_day import to_time
from loaders.trading_time import SHANGHAI

KEPT_DAYS = 30  # of files whose days never landed as complete
SHOWN = 3  # holes of a day that are named
CLOSING = 2 * 10**9  # ns before the close: a tick from then is the last


@dataclass(frozen=True)
class Hole:
    """Ticks that passed unrecorded between two stamps (ns); `count`: None where unknown."""

    start: int
    end: int
    count: int | None = None


@dataclass(frozen=True)
class Merged:
    """Recorded and newest ticks by their numbers, each once.

    shared:    how many of the recorded ones the servers have given again
    differing: how many of these otherwise; the servers' are taken
    """

    ticks: pa.Table
    shared: int = 0
    differing: int = 0


@dataclass(frozen=True)
class RecentDay:
    """The ticks of a day; `hole`: what passed while nothing recorded, of a recorded day."""

    ticks: pa.Table
    hole: str | None = None


def read_recorded(folder: Path, contract: str, columns: list[str] | None = None) -> pa.Table | None:
    """The ticks of a contract, each once and in the order of their numbers; None without any.

    `columns`: those to read, `id` among them; all by default.
    """
    files = sorted((folder / contract).glob("*.parquet"))
    tables = [t for file in files if (t := _read_file(file, columns)) is not None and t.num_rows]
    return _sort(pa.concat_tables(tables)) if tables else None


def merge_ticks(recorded: pa.Table, newest: pa.Table) -> Merged:
    """Recorded ticks and those of the servers, which are taken where both have one.

    The servers' alone where theirs have other numbers by now.
    """
    shared, differing = compare_ticks(recorded, newest)
    ours, theirs = _pair(recorded, newest)
    moved = int((ours["datetime_ns"].to_numpy() != theirs["datetime_ns"].to_numpy()).sum())
    if moved * 2 > shared:
        return Merged(newest, shared, differing)
    return Merged(_sort(pa.concat_tables([newest, recorded])), shared, differing)


def compare_ticks(recorded: pa.Table, others: pa.Table) -> tuple[int, int]:
    """How many numbers both have, and how many of these with other values."""
    ours, theirs = _pair(recorded, others)
    differs = np.zeros(ours.num_rows, bool)
    for name in ours.column_names:
        mine, other = (_values(table[name]) for table in (ours, theirs))
        differs |= ~((mine == other) | (np.isnan(mine) & np.isnan(other)))
    return ours.num_rows, int(differs.sum())


def find_holes(ticks: pa.Table) -> list[Hole]:
    """Holes in the numbers of ticks."""
    ids, stamps = ticks["id"].to_numpy(), ticks["datetime_ns"].to_numpy()
    return [
        Hole(int(stamps[n]), int(stamps[n + 1]), int(ids[n + 1] - ids[n] - 1))
        for n in (ids[1:] - ids[:-1] > 1).nonzero()[0]
    ]


def describe_holes(holes: Sequence[Hole], opening: int, close: int) -> str | None:
    """The holes between the opening and the close of a trading day, in exchange time."""
    inside = [hole for hole in holes if hole.start < close - CLOSING and hole.end > opening]
    if not inside:
        return None
    times = [
        f"{_clock(max(hole.start, opening))} to {_clock(min(hole.end, close))}"
        for hole in inside[:SHOWN]
    ]
    more = f" and at {len(inside) - SHOWN} other times" if len(inside) > SHOWN else ""
    counts = [hole.count for hole in inside]
    number = "ticks" if None in counts else f"{sum(filter(None, counts)):,} ticks"
    return f"{number} missed while nothing was recorded, from {', '.join(times)}{more}"


def delete_files(folder: Path, is_needed: Callable[[str, int], bool]) -> None:
    """Delete the files that are not needed, by contract and their newest stamp (ns).

    The newest of them stays with its contract: it shows that nothing is missing before the next.
    """
    for place in folder.iterdir() if folder.is_dir() else ():
        newest = {file: _newest(file) for file in sorted(place.glob("*.parquet"))}
        done = [f for f, ns in newest.items() if ns is not None and not is_needed(place.name, ns)]
        for file in done[:-1]:
            file.unlink(missing_ok=True)


def delete_old(folder: Path, before: int) -> None:
    """Delete files whose ticks are all older than a stamp (ns), and those that are damaged."""
    for file in folder.glob("*/*"):
        newest = _newest(file)
        if newest is None or newest < before:
            file.unlink(missing_ok=True)
    for place in folder.iterdir() if folder.is_dir() else ():
        if not any(place.iterdir()):
            place.rmdir()


def _newest(file: Path) -> int | None:
    """The newest stamp (ns) of a file; None for a damaged one."""
    table = _read_file(file, ["datetime_ns"]) if file.suffix == ".parquet" else None
    return pc.max(table["datetime_ns"]).as_py() if table is not None else None


def _sort(ticks: pa.Table) -> pa.Table:
    """Ticks by number, of equal ones the first."""
    ids = ticks["id"].to_numpy()
    return ticks.take(pa.array(np.unique(ids, return_index=True)[1]))


def _pair(recorded: pa.Table, others: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The ticks of both with the numbers that both have, in their order."""
    _, mine, other = np.intersect1d(
        recorded["id"].to_numpy(), others["id"].to_numpy(), return_indices=True
    )
    names = recorded.column_names
    return recorded.take(pa.array(mine)), others.select(names).take(pa.array(other))


def _values(column: Any) -> Any:
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _read_file(file: Path, columns: list[str] | None = None) -> Any | None:
    """The ticks of a file; None for one that a full disk or a crash left damaged."""
    try:
        return pq.read_table(file, columns=columns)
    except (pa.ArrowInvalid, OSError):
        return None


def _clock(ns: int) -> str:
    return f"{to_time(ns).astimezone(SHANGHAI):%H:%M:%S}"
