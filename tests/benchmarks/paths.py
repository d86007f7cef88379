"""Write paths of day bars: each runs in its own process, from a Parquet file to the commit.

dlt's paths write one row of another table first, so that start-up cost is not measured.
"""

import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from loaders.tdx.tables import KLINE_DAILY, SECURITY
from tests.benchmarks import databases
from tests.benchmarks.processes import peak_mb
from tests.benchmarks.rows import BATCH, FETCHED, bars, batches, stored

INSERT_ROWS = 5_000
OVERLAP = 5  # days of a small load that the table has already, and as many that are new
Write = Callable[[Path], None]


def copy_text(url: str) -> Write:
    def write(file: Path) -> None:
        with psycopg.connect(url) as conn:
            for part in batches(file):
                rows = stored(part, KLINE_DAILY)
                names = ", ".join(rows.schema.names)
                target = f"copy {KLINE_DAILY.qualified} ({names}) from stdin (format csv)"
                with conn.cursor().copy(target.encode()) as copy:
                    copy.write(csv_bytes(rows))

    return write


def csv_bytes(rows: pa.Table) -> memoryview:
    sink = io.BytesIO()
    pacsv.write_csv(rows, sink, pacsv.WriteOptions(include_header=False, quoting_style="needed"))
    return sink.getbuffer()


def insert_rows(url: str) -> Write:
    """Multi-row INSERT … ON CONFLICT, 5,000 rows a statement, parameters bound by psycopg."""

    def write(file: Path) -> None:
        # bound by the client: the server takes at most 65,535 parameters a statement
        with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as conn:
            for table in (stored(rows, KLINE_DAILY) for rows in batches(file)):
                columns, key = table.schema.names, KLINE_DAILY.key
                update = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in key)
                values = f"({', '.join(['%s'] * len(columns))})"
                for start in range(0, table.num_rows, INSERT_ROWS):
                    part = table.slice(start, INSERT_ROWS)
                    rows = list(zip(*(c.to_pylist() for c in part.columns), strict=True))
                    conn.execute(
                        f"insert into {KLINE_DAILY.qualified} ({', '.join(columns)}) values "
                        f"{', '.join([values] * len(rows))} on conflict ({', '.join(key)}) "
                        f"do update set {update}".encode(),
                        [value for row in rows for value in row],
                    )

    return write


def landing_path(url: str, folder: Path) -> Write:
    from loaders.landing import load_job
    from loaders.warehouse.tables import Batch

    warehouse = databases.warehouse(url, folder)
    pipeline, _ = load_job.open_pipeline(warehouse, folder / "pipelines", "tdx", "tdx")
    row = {"code": "sh600000", "exchange": "sh", "name": "", "instrument_type": "stock"}
    row |= {"is_listed": True, "source_route": "", "fetched_at": FETCHED, "is_final": True}
    warm = pa.Table.from_pylist([row], SECURITY.schema)
    load_job.land(pipeline, warehouse, "tdx", SECURITY, [Batch(warm)])

    def write(file: Path) -> None:
        rows = (Batch(part) for part in batches(file))
        load_job.land(pipeline, warehouse, "tdx", KLINE_DAILY, rows)

    return write


def dlt_path(url: str, folder: Path, disposition: Any, *, file_format: str, dicts: bool) -> Write:
    """dlt's own postgres destination with its defaults."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"
    import dlt

    pipeline = dlt.pipeline(
        "stock",
        destination=dlt.destinations.postgres(databases.warehouse(url, folder).dlt_url()),
        dataset_name="stock",
        pipelines_dir=str(folder / "stock"),
    )

    def run(name: str, tables: Iterable[pa.Table]) -> None:
        resource = dlt.resource(
            (part.to_pylist() if dicts else part for part in tables),
            name=name,
            primary_key=list(KLINE_DAILY.key),
            write_disposition=disposition,
        )
        pipeline.run(resource, loader_file_format=file_format)

    run("warm", [bars(1, 0, 1)])
    return lambda file: run("kline_daily", batches(file))


@contextmanager
def opened(name: str, url: str, folder: Path) -> Iterator[tuple[Write, str, Path]]:
    """The path, the table that it writes to, and a folder that is removed at the end."""
    work = Path(tempfile.mkdtemp(dir=folder))
    upsert = {"disposition": "merge", "strategy": "upsert"}
    paths: dict[str, Callable[[], Write]] = {
        "copy": lambda: copy_text(url),
        "insert": lambda: insert_rows(url),
        "landing": lambda: landing_path(url, work),
        "dlt-merge": lambda: dlt_path(url, work, "merge", file_format="insert_values", dicts=True),
        "dlt-arrow": lambda: dlt_path(url, work, upsert, file_format="csv", dicts=False),
    }
    try:
        table = "stock.kline_daily" if name.startswith("dlt") else KLINE_DAILY.qualified
        yield paths[name](), table, work
    finally:
        shutil.rmtree(work)


def write_phases(
    name: str, url: str, folder: str, *, indexed: bool, phases: list[str]
) -> dict[str, Any]:
    """Write the files of these phases one after the other."""
    files = Path(folder)
    databases.prepare_tables(url, files, indexed=indexed)
    measured = {}
    with opened(name, url, files) as (write, table, _):
        for phase in phases:
            started = time.perf_counter()
            write(files / f"{phase}.parquet")
            seconds = time.perf_counter() - started
            measured[phase] = {"seconds": seconds, **databases.count_rows(url, table)}
            databases.settle(url, table)
    return {"phases": measured, "peak_mb": peak_mb()}


def write_small_loads(
    name: str, url: str, folder: str, *, codes: int, days: int, loads: int
) -> list[float]:
    """Seconds of loads of 10 days of every code, 5 of them new, into CODES × DAYS rows."""
    databases.prepare_tables(url, Path(folder), indexed=False)
    seconds = []
    with opened(name, url, Path(folder)) as (write, table, work):
        history, small = work / "history.parquet", work / "small.parquet"
        pq.write_table(bars(codes, 0, days), history, row_group_size=BATCH)
        # dlt makes its own table; ours is filled by COPY
        (write if name.startswith("dlt") else copy_text(url))(history)
        databases.settle(url, table)
        for number in range(loads + 1):
            first = days + OVERLAP * (number - 1)
            pq.write_table(bars(codes, first, 2 * OVERLAP, fetch=number + 1), small)
            started = time.perf_counter()
            write(small)
            seconds.append(time.perf_counter() - started)
    return seconds[1:]  # the first warms the process
