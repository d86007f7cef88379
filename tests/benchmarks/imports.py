"""Full imports with their further indexes kept up, and with these dropped before and built after."""

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from loaders.landing import first_copy, indexes
from loaders.tdx.tables import KLINE_DAILY, KLINE_MINUTE
from loaders.warehouse.tables import Batch, LandedTable
from tests.benchmarks import databases
from tests.benchmarks.paths import NEVER
from tests.benchmarks.report import table
from tests.benchmarks.rows import ROWS

CODES_AT_ONCE = 5
# rows of other codes that are there already, as parts of those that come
THERE = (0.0, 0.5, 1.0, 2.0)
# a table and the days of a code, with which a code has some 2,400 rows
CASES = ((KLINE_DAILY, 2_500), (KLINE_MINUTE, 10))
# how rows go into the table, whatever is there: from so many rows of a file on straight, else by the upsert
WAYS = {"straight": first_copy.FEWEST, "upsert": NEVER}
# minutes into the empty table: how many times the codes, and which indexes beside those that are declared.
# Their values come in no order, unlike dates
MORE = (("close",), ("volume",), ("amount",), ("fetched_at", "close"))
LARGER = ((1, ()), (1, MORE), (5, ()), (5, MORE))
Gains = dict[tuple[str, str, float], list[float]]


def gains(
    server: str, folder: Path, codes: int, rounds: int, say: Callable[[str], None]
) -> tuple[Gains, dict[str, int]]:
    """Seconds with the indexes kept up to those with them dropped and built, by table, way and rows
    there; and how many rows came. Both go the same way, so the indexes are all that differs."""
    found: Gains = {}
    with _ours_to_drop():
        _seconds(
            server, folder, KLINE_DAILY, 1, 10, 0, "upsert", drop=True
        )  # what a process does once
        for number in range(rounds):
            order = (False, True) if number % 2 else (True, False)
            for (landed, days), way, there in itertools.product(CASES, WAYS, THERE):
                seconds = {
                    drop: _seconds(server, folder, landed, codes, days, there, way, drop=drop)
                    for drop in order
                }
                gain = seconds[False] / seconds[True]
                found.setdefault((landed.name, way, there), []).append(gain)
                say(f"round {number + 1}: {landed.name}, {way}, {there:g} × there: {gain:.2f}")
    rows = {t.name: codes * ROWS[t.name](1, 0, days).num_rows for t, days in CASES}
    return found, rows


def larger(
    server: str, folder: Path, codes: int, say: Callable[[str], None]
) -> list[tuple[int, int, float]]:
    """The same gain of one import of minutes into the empty table, by its rows and further indexes."""
    found = []
    landed, days = CASES[1]
    with _ours_to_drop():
        for times, more in LARGER:
            table = replace(landed, indexes=landed.indexes + more)
            seconds = {
                drop: _seconds(server, folder, table, codes * times, days, 0, "straight", drop=drop)
                for drop in (False, True)
            }
            rows = codes * times * ROWS[landed.name](1, 0, days).num_rows
            found.append((rows, len(table.indexes), seconds[False] / seconds[True]))
            say(f"{rows:,} minutes, {len(table.indexes)} indexes: {found[-1][2]:.2f}")
    return found


@contextmanager
def _ours_to_drop() -> Iterator[None]:
    """The loader itself drops no index meanwhile."""
    fewest, indexes.FEWEST = indexes.FEWEST, NEVER
    try:
        yield
    finally:
        indexes.FEWEST, first_copy.FEWEST = fewest, WAYS["straight"]


def _seconds(
    server: str,
    folder: Path,
    landed: LandedTable,
    codes: int,
    days: int,
    there: float,
    way: str,
    *,
    drop: bool,
) -> float:
    from loaders.landing import load_job

    work = Path(tempfile.mkdtemp(dir=folder))
    try:
        with databases.database(server) as url:
            warehouse = databases.prepared(url, work, "real", landed)
            pipeline, _ = load_job.open_pipeline(warehouse, work / "pipelines", "tdx", "tdx")

            def land(exchange: str, count: int) -> None:
                batches = (Batch(rows) for rows in _rows(landed, exchange, count, days))
                load_job.land(pipeline, warehouse, "tdx", landed, batches)

            first_copy.FEWEST = WAYS["straight"]
            if earlier := round(codes * there):
                land("sz", earlier)
                databases.settle(url, landed.qualified)
            first_copy.FEWEST = WAYS[way]
            statements = indexes.declared(landed)
            with psycopg.connect(url, autocommit=True) as conn:
                indexes.create_absent(conn, landed)
            started = time.perf_counter()
            with psycopg.connect(url, autocommit=True) as conn:
                for name in statements if drop else ():
                    conn.execute(f"drop index {landed.dataset}.{name}".encode())
                land("sh", codes)
                for statement in statements.values() if drop else ():
                    conn.execute(statement)
            return time.perf_counter() - started
    finally:
        shutil.rmtree(work)


def _rows(landed: LandedTable, exchange: str, codes: int, days: int) -> Iterator[pa.Table]:
    """The codes a few at a time; all of them would not fit the memory of a small machine."""
    for start in range(0, codes, CODES_AT_ONCE):
        rows = ROWS[landed.name](min(CODES_AT_ONCE, codes - start), 0, days)
        numbers = pc.cast(pc.utf8_slice_codeunits(rows["code"], 2), pa.int64())
        names = pc.cast(pc.add(numbers, start), pa.string())
        yield rows.set_column(
            0, rows.schema.field(0), pc.binary_join_element_wise(exchange, names, "")
        )


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


def section(found: Gains, rows: dict[str, int], more: list[tuple[int, int, float]]) -> str:
    columns = list(dict.fromkeys((name, way) for name, way, _ in found))
    titles = (f"`{name}`, {rows[name]:,} rows, {way}" for name, way in columns)
    gains = {c: {there: median(found[*c, there]) for there in THERE} for c in columns}
    lines = [
        [f"{there:g} ×" if there else "none", *(f"{gains[c][there]:.2f}" for c in columns)]
        for there in THERE
    ]
    lines.append(["**break-even**", *(break_even(gains[c]) for c in columns)])
    return "\n".join(
        [
            "How many times faster an import of new codes is that drops the further indexes of its table and",
            "builds them at its end, than one that keeps them up row by row; both straight into the table, or",
            "both by the upsert. Day bars have one such index, minutes two. Where the figure falls to 1, it no",
            "longer pays. The loader drops two indexes or more, and a single one of a file that goes straight,",
            f"where no more rows are there than come. Medians of {min(map(len, found.values()))} rounds.",
            "",
            table(["rows there, as part of those that come", *titles], lines),
            "",
            "An index by date grows at few places, which stay in memory, so a larger import gains little more."
            " One whose entries come in no order gains with the rows, and with each further one. Minutes straight"
            f" into the empty table, also with {len(MORE)} indexes by price and turnover:",
            "",
            table(
                ["rows", "further indexes", "times faster"],
                [[f"{count:,}", str(number), f"{gain:.2f}"] for count, number, gain in more],
            ),
        ]
    )
