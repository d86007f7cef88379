"""Full imports with their further indexes kept up, and with these dropped before and built after."""

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from loaders.tdx.schemas import KLINE_DAILY, KLINE_MINUTE
from loaders.warehouse import indexes
from loaders.warehouse.tables import Batch, LandedTable
from tests.benchmarks import databases
from tests.benchmarks.report import table
from tests.benchmarks.rows import ROWS

CODES_AT_ONCE = 5
# rows that are there already, as parts of those that come
THERE = (0.0, 0.5, 1.0, 2.0, 4.0)
# a table and the days of a code, with which a code has some 2,400 rows
CASES = ((KLINE_DAILY, 2_500), (KLINE_MINUTE, 10))
Gains = dict[tuple[str, float], list[float]]


def gains(
    server: str, folder: Path, codes: int, rounds: int, say: Callable[[str], None]
) -> tuple[Gains, dict[str, int]]:
    """Seconds with the indexes kept up to those with them dropped and built, by table and rows there;
    and how many rows came."""
    found: Gains = {}
    fewest, indexes.FEWEST = indexes.FEWEST, 2**62  # here it is ours to drop
    try:
        _seconds(server, folder, KLINE_DAILY, 1, 10, 0, drop=True)  # what a process does once
        for number in range(rounds):
            for landed, days in CASES:
                for there in THERE:
                    ways = (False, True) if number % 2 else (True, False)
                    seconds = {
                        drop: _seconds(server, folder, landed, codes, days, there, drop=drop)
                        for drop in ways
                    }
                    gain = seconds[False] / seconds[True]
                    found.setdefault((landed.name, there), []).append(gain)
                    say(f"round {number + 1}: {landed.name}, {there:g} × there: {gain:.2f}")
    finally:
        indexes.FEWEST = fewest
    rows = {t.name: codes * ROWS[t.name](1, 0, days).num_rows for t, days in CASES}
    return found, rows


def _seconds(
    server: str,
    folder: Path,
    landed: LandedTable,
    codes: int,
    days: int,
    there: float,
    *,
    drop: bool,
) -> float:
    from loaders.warehouse import landing

    work = Path(tempfile.mkdtemp(dir=folder))
    try:
        with databases.database(server) as url:
            warehouse = databases.prepared(url, work, "real", landed)
            pipeline, _ = landing.open_pipeline(warehouse, work / "pipelines", "tdx", "tdx")

            def land(first: int, count: int) -> None:
                batches = (Batch(rows) for rows in _rows(landed, codes, first, count))
                landing.land(pipeline, warehouse, "tdx", landed, batches)

            if earlier := round(days * there):
                land(0, earlier)
                databases.settle(url, landed.qualified)
            started = time.perf_counter()
            with psycopg.connect(url, autocommit=True) as conn:
                statements = indexes.declared(landed)
                for name in statements if drop else ():
                    conn.execute(f"drop index {landed.dataset}.{name}".encode())
                land(earlier, days)
                for statement in statements.values() if drop else ():
                    conn.execute(statement)
            return time.perf_counter() - started
    finally:
        shutil.rmtree(work)


def _rows(landed: LandedTable, codes: int, first: int, days: int) -> Iterator[pa.Table]:
    """The codes a few at a time; all of them would not fit the memory of a small machine."""
    for start in range(0, codes, CODES_AT_ONCE):
        rows = ROWS[landed.name](min(CODES_AT_ONCE, codes - start), first, days)
        numbers = pc.cast(pc.utf8_slice_codeunits(rows["code"], 2), pa.int64())
        names = pc.cast(pc.add(numbers, start), pa.string())
        yield rows.set_column(0, rows.schema.field(0), pc.binary_join_element_wise("sh", names, ""))


def break_even(by_there: Mapping[float, float]) -> str:
    """Up to how many times the rows of an import may be there for dropping to pay, between the sizes
    measured by a straight line; `by_there`: how many times faster it is, by rows there."""
    gains = sorted(by_there.items())
    if gains[0][1] <= 1:
        return "does not pay"
    for (few, more), (many, less) in itertools.pairwise(gains):
        if less <= 1:
            return f"about {few + (many - few) * (more - 1) / (more - less):.1f} ×"
    return f"beyond {gains[-1][0]:g} ×"


def section(found: Gains, rows: dict[str, int]) -> str:
    names = dict.fromkeys(name for name, _ in found)
    head = ["rows there, as part of those that come", *(f"`{n}`, {rows[n]:,} rows" for n in names)]
    gains = {n: {there: median(found[n, there]) for there in THERE} for n in names}
    lines = [
        [f"{there:g} ×" if there else "none", *(f"{gains[n][there]:.2f}" for n in names)]
        for there in THERE
    ]
    lines.append(["**break-even**", *(break_even(gains[n]) for n in names)])
    return "\n".join(
        [
            "How many times faster an import is that drops the further indexes of its table and builds",
            "them at its end, than one that keeps them up row by row. Day bars have one, minutes two. Where",
            "the figure falls to 1, it no longer pays. The loader drops two indexes or more, and a single",
            "one where a first load of codes may go straight into the table, where no more rows are there",
            f"than come. Medians of {min(map(len, found.values()))} rounds.",
            "",
            table(head, lines),
        ]
    )
