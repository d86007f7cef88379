"""Write paths of day bars, each right after a COPY of the same rows; and small loads.

Each measurement is a process, so that one's memory does not affect the next, from a Parquet file
to the commit. dlt's paths write one row of another table first: start-up is not measured.

python -m tests.benchmarks.loads FUNCTION KEYWORDS
"""

import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from psycopg.conninfo import conninfo_to_dict

from loaders.tdx.tables import KLINE_DAILY, SECURITY, TABLES
from loaders.warehouse.migrate import prepare
from loaders.warehouse.tables import FILE_NO, LOAD_ID, ROUTE_NO
from quotemill.warehouse.postgres import Warehouse
from tests.bars import FETCHED, bars
from tests.benchmarks.page import ROOT, Aim, at_least, at_most, paragraph, table

TITLE = "Write paths, same rows"
DAYS = 2_500
BATCH = 50_000
PHASES = ("first", "again", "new")
COPY, LANDING, INSERT = "copy", "landing", "insert"
NAMES = {
    COPY: "COPY text into the empty table (the measure)",
    LANDING: "**our landing path**",
    "dlt-arrow": "dlt's own Arrow upsert (csv)",
    INSERT: "multi-row `INSERT … ON CONFLICT` of 5,000",
}
PATHS = tuple(path for path in NAMES if path != COPY)
INSERT_ROWS = 5_000
SMALL_CODES = 500
OVERLAP = 5  # days of a small load that the table has already, and as many that are new
Say = Callable[[str], None]
Write = Callable[[Path], None]
Small = dict[str, dict[int, float]]  # seconds by path and rows in the table


@dataclass
class Results:
    """Seconds by path and phase, and ratios to the COPY just before."""

    rows: int
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    ratios: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    dead: dict[tuple[str, str], int] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)

    def add(self, path: str, result: dict[str, Any], copy_seconds: float) -> None:
        self.peak_mb[path] = max(self.peak_mb.get(path, 0), result["peak_mb"])
        for phase, figures in result["phases"].items():
            at = path, phase
            self.seconds.setdefault(at, []).append(figures["seconds"])
            self.ratios.setdefault(at, []).append(copy_seconds / figures["seconds"])
            self.dead[at] = max(self.dead.get(at, 0), figures["dead"])

    def ratio(self, path: str, phase: str) -> float:
        return median(self.ratios[path, phase])


def compare_paths(
    server: str,
    folder: Path,
    codes: int,
    *,
    rounds: int,
    say: Say,
    paths: Sequence[str] = PATHS,
    days: int = DAYS,
) -> Results:
    """Run each path once a round, right after a COPY; `INSERT`, which is slow, in the first."""
    for phase in PHASES:
        rows = phase_rows(phase, codes, days)
        pq.write_table(rows, folder / f"{phase}.parquet", row_group_size=BATCH)
    results = Results(codes * days)

    def measure(path: str) -> Any:
        phases = ["first"] if path == COPY else PHASES
        with database(server) as url:
            return measured("write_phases", name=path, url=url, folder=folder, phases=phases)

    measure(COPY)  # warms the machine's caches
    for number in range(rounds):
        for path in paths if number == 0 else [path for path in paths if path != INSERT]:
            copy = measure(COPY)
            seconds = copy["phases"]["first"]["seconds"]
            results.add(COPY, copy, seconds)
            results.add(path, measure(path), seconds)
            say(f"round {number + 1}: {path} {results.ratios[path, 'first'][-1]:.2f}")
    return results


def compare_small_loads(
    server: str, folder: Path, sizes: Sequence[int], *, rounds: int, loads: int, say: Say
) -> Small:
    """Median seconds of a load of 5,000 rows, by path and rows in the table."""
    seconds: dict[str, dict[int, list[float]]] = {path: {n: [] for n in sizes} for path in PATHS}
    for number in range(rounds):
        for path in PATHS:
            for size in sizes:
                sizing = {"codes": SMALL_CODES, "days": size // SMALL_CODES, "loads": loads}
                with database(server) as url:
                    seconds[path][size] += measured(
                        "write_small_loads", name=path, url=url, folder=folder, **sizing
                    )
            say(f"round {number + 1}: 5,000 rows by {path}")
    return {
        path: {size: median(times) for size, times in by_size.items()}
        for path, by_size in seconds.items()
    }


def section(results: Results, small: Small) -> tuple[str, list[Aim]]:
    few, many = sorted(small[LANDING])
    ours = small[LANDING][many]
    lines = []
    for path, name in NAMES.items():
        if path not in results.peak_mb:
            continue
        cells = [
            f"{results.ratio(path, phase):.2f}" if (path, phase) in results.ratios else ""
            for phase in PHASES
        ]
        dead = "" if path == COPY else f"{results.dead[path, 'again']:,}"
        cells += [f"{small[path][n] / ours:.2f}" if path in small else "" for n in (few, many)]
        lines.append([name, *cells, dead, f"{results.peak_mb[path]:.0f}"])
    rate = results.rows / median(results.seconds[COPY, "first"])
    into = (f"into {few:,}", f"into {many:,}")
    head = ("path", "first load", "full re-load", "1 % new rows", *into, "dead rows", "peak MB")
    first, again = (results.ratio(LANDING, phase) for phase in ("first", "again"))
    wanted = [
        at_least("first load", first, 0.6, "of COPY"),
        at_least("full re-load", again, 0.7, "of COPY"),
        at_most("dead rows after it", results.dead[LANDING, "again"], 0, "rows"),
        at_most("a small load grows by", ours / small[LANDING][few], 1.25),
        at_least("first load", first / results.ratio(INSERT, "first"), 5, "× INSERT"),
        at_least("full re-load", again / results.ratio(INSERT, "again"), 10, "× INSERT"),
    ]
    text = (
        f"{results.rows:,} day bars, from a Parquet file to the commit, relative to a COPY "
        f"({rate:,.0f} rows/s). Every table has its primary key, except dlt's own. The columns "
        "`into …` load 5,000 rows, half of them known, into a table of that size, relative to our "
        f"{ours:.2f} s."
    )
    return f"{paragraph(text)}\n\n{table(head, lines)}", wanted


def write_phases(*, name: str, url: str, folder: str, phases: list[str]) -> dict[str, Any]:
    """Write the files of these phases one after the other."""
    files, figures = Path(folder), {}
    prepare_tables(url, files)
    with open_path(name, url, files) as (write, target, _):
        for phase in phases:
            started = time.perf_counter()
            write(files / f"{phase}.parquet")
            seconds = time.perf_counter() - started
            figures[phase] = {"seconds": seconds, "dead": count_dead_rows(url, target)}
            settle(url, target)
    return {"phases": figures, "peak_mb": peak_mb()}


def write_small_loads(
    *, name: str, url: str, folder: str, codes: int, days: int, loads: int
) -> list[float]:
    """Seconds of loads of 10 days of every code, 5 of them new, into CODES × DAYS rows."""
    prepare_tables(url, Path(folder))
    seconds = []
    with open_path(name, url, Path(folder)) as (write, target, work):
        history, small = work / "history.parquet", work / "small.parquet"
        pq.write_table(bars(codes, 0, days), history, row_group_size=BATCH)
        # dlt makes its own table; ours is filled by COPY
        (write if name.startswith("dlt") else copy_text(url))(history)
        settle(url, target)
        for number in range(loads + 1):
            first = days + OVERLAP * (number - 1)
            pq.write_table(bars(codes, first, 2 * OVERLAP, fetch=number + 1), small)
            started = time.perf_counter()
            write(small)
            seconds.append(time.perf_counter() - started)
    return seconds[1:]  # the first warms the process


@contextmanager
def open_path(name: str, url: str, folder: Path) -> Iterator[tuple[Write, str, Path]]:
    """The path, the table that it writes to, and a folder that is removed at the end."""
    work = Path(tempfile.mkdtemp(dir=folder))
    paths: dict[str, Callable[[], Write]] = {
        COPY: lambda: copy_text(url),
        INSERT: lambda: insert_rows(url),
        LANDING: lambda: land_rows(url, work),
        "dlt-arrow": lambda: upsert_by_dlt(url, work),
    }
    try:
        target = "stock.kline_daily" if name.startswith("dlt") else KLINE_DAILY.qualified
        yield paths[name](), target, work
    finally:
        shutil.rmtree(work)


def copy_text(url: str) -> Write:
    def write(file: Path) -> None:
        with psycopg.connect(url) as conn:
            for rows in map(as_stored, batches(file)):
                sink = io.BytesIO()
                options = pacsv.WriteOptions(include_header=False, quoting_style="needed")
                pacsv.write_csv(rows, sink, options)
                names = ", ".join(rows.schema.names)
                target = f"copy {KLINE_DAILY.qualified} ({names}) from stdin (format csv)"
                with conn.cursor().copy(target.encode()) as copy:
                    copy.write(sink.getbuffer())

    return write


def insert_rows(url: str) -> Write:
    """Multi-row INSERT … ON CONFLICT, 5,000 rows a statement, parameters bound by psycopg."""

    def write(file: Path) -> None:
        # bound by the client: the server takes at most 65,535 parameters a statement
        with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as conn:
            for rows in map(as_stored, batches(file)):
                columns, key = rows.schema.names, KLINE_DAILY.key
                update = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in key)
                values = f"({', '.join(['%s'] * len(columns))})"
                for start in range(0, rows.num_rows, INSERT_ROWS):
                    part = rows.slice(start, INSERT_ROWS)
                    given = list(zip(*(c.to_pylist() for c in part.columns), strict=True))
                    conn.execute(
                        f"insert into {KLINE_DAILY.qualified} ({', '.join(columns)}) values "
                        f"{', '.join([values] * len(given))} on conflict ({', '.join(key)}) "
                        f"do update set {update}".encode(),
                        [value for row in given for value in row],
                    )

    return write


def land_rows(url: str, folder: Path) -> Write:
    from loaders.landing import load_job
    from loaders.warehouse.content import content_id
    from loaders.warehouse.tables import Batch

    warehouse = open_warehouse(url, folder)
    pipeline, _ = load_job.open_pipeline(warehouse, content_id(warehouse), "tdx", "tdx")
    row = {"code": "sh600000", "exchange": "sh", "name": "", "instrument_type": "stock"}
    row |= {"is_listed": True, "source_route": "", "fetched_at": FETCHED, "is_final": True}
    warm = pa.Table.from_pylist([row], SECURITY.schema)
    load_job.land(pipeline, warehouse, "tdx", SECURITY, [Batch(warm)])

    def write(file: Path) -> None:
        rows = (Batch(part) for part in batches(file))
        load_job.land(pipeline, warehouse, "tdx", KLINE_DAILY, rows)

    return write


def upsert_by_dlt(url: str, folder: Path) -> Write:
    """dlt's own postgres destination with its defaults."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"
    import dlt

    pipeline = dlt.pipeline(
        "stock",
        destination=dlt.destinations.postgres(open_warehouse(url, folder).dlt_url()),
        dataset_name="stock",
        pipelines_dir=str(folder / "stock"),
    )

    def run(name: str, tables: Iterable[pa.Table]) -> None:
        resource = dlt.resource(
            tables,
            name=name,
            primary_key=list(KLINE_DAILY.key),
            write_disposition={"disposition": "merge", "strategy": "upsert"},
        )
        pipeline.run(resource, loader_file_format="csv")

    run("warm", [bars(1, 0, 1)])
    return lambda file: run("kline_daily", batches(file))


def phase_rows(phase: str, codes: int, days: int) -> pa.Table:
    """first: whole histories; again: the same, fetched later; new: 1 % of the days (one at least)
    new, the rest the same."""
    moved = {"first": 0, "again": 0, "new": max(1, days // 100)}[phase]
    return bars(codes, moved, days, fetch=PHASES.index(phase))


def as_stored(rows: pa.Table) -> pa.Table:
    """The rows as the warehouse has them: of one route and file, where these are numbers."""
    if KLINE_DAILY.numbered:
        for name, kind in ((ROUTE_NO, pa.int16()), (FILE_NO, pa.int32())):
            rows = rows.append_column(name, pa.repeat(pa.scalar(1, kind), rows.num_rows))
    return rows.select([name for name in KLINE_DAILY.stored.names if name != LOAD_ID])


def batches(path: Path) -> Iterator[pa.Table]:
    """The rows of a file, 50,000 at a time: no path may hold them all because its input does."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH):
            yield pa.Table.from_batches([batch])


@contextmanager
def database(server: str) -> Iterator[str]:
    """The URL of a new database, dropped at the end."""
    name = f"bench_{secrets.token_hex(4)}"
    params = conninfo_to_dict(server)
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"create database {name}".encode())
    host, user = quote(str(params["host"]), safe=""), quote(str(params["user"]), safe="")
    secret = f":{quote(str(params['password']), safe='')}" if params.get("password") else ""
    try:
        yield f"postgresql://{user}{secret}@/{name}?host={host}&port={params.get('port', 5432)}"
    finally:
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(f"drop database {name} with (force)".encode())


def open_warehouse(url: str, home: Path) -> Warehouse:
    return Warehouse(url, "benchmark", False, "market", None, "benchmark", home)


def prepare_tables(url: str, home: Path) -> None:
    """Create the landed tables, empty; that of day bars with its key alone."""
    prepare(open_warehouse(url, home), TABLES)
    target = KLINE_DAILY.qualified
    with psycopg.connect(url, autocommit=True) as conn:
        # dead rows are counted, so nothing else may remove them
        conn.execute(f"alter table {target} set (autovacuum_enabled = false)".encode())
        for columns in KLINE_DAILY.indexes:
            conn.execute(f"drop index {target}_{'_'.join(columns)}_idx".encode())


def settle(url: str, target: str = "") -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"vacuum analyze {target}".encode())
        conn.execute(b"checkpoint")


def count_dead_rows(url: str, target: str) -> int:
    """Close the writer's connection first, its counts arrive with its end."""
    query = "select n_dead_tup from pg_stat_user_tables where relid = %s::regclass"
    with psycopg.connect(url, autocommit=True) as conn:
        [(dead,)] = conn.execute(query, (target,))
    return int(dead)


def measured(function: str, **keywords: Any) -> Any:
    """Call a function of this module in a child process and return its JSON result."""
    child = [sys.executable, "-m", __name__, function, json.dumps(keywords, default=str)]
    done = subprocess.run(child, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{function} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_mb() -> float:
    """The peak memory of this process; ru_maxrss would include the parent's before the fork."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
