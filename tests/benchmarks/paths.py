"""One write path through its phases, in a process of its own; prints one line of JSON.

    python -m tests.benchmarks.paths PATH KIND TABLE URL FOLDER PHASES

FOLDER has the files of `rows.write_files`. Timed is the way from rows in a file to rows committed.
dlt's paths write one row of another table before: what a process does once is not theirs to pay.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv

from loaders.landing import first_copy
from loaders.tdx.tables import KLINE_DAILY, KLINE_MINUTE, SECURITY
from loaders.warehouse.tables import LandedTable
from tests.benchmarks import databases
from tests.benchmarks.processes import peak_mb
from tests.benchmarks.rows import FETCHED, bars, batches, stored

TABLES = {table.name: table for table in (KLINE_DAILY, KLINE_MINUTE)}
INSERT_ROWS = 5_000
NEVER = 2**62
DLT_STEPS = ("extract", "normalize", "load")
# of the load: its jobs; and of these the look at what is there, COPY, and the feed of what went straight
CLOCKS = ("job", "look", "copy", "feed")
Write = Callable[[Path], dict[str, float]]


def copy_text(url: str, table: LandedTable) -> Write:

    def write(file: Path) -> dict[str, float]:
        with psycopg.connect(url) as conn:
            for part in batches(file):
                rows = stored(part, table)
                names = ", ".join(rows.schema.names)
                with conn.cursor().copy(
                    f"copy {table.qualified} ({names}) from stdin (format csv)".encode()
                ) as copy:
                    copy.write(csv_bytes(rows))
        return {}

    return write


def copy_binary(url: str, table: LandedTable) -> Write:
    """As the landing path does it, but at once into the table itself."""
    from pgpq import ArrowToPostgresBinaryEncoder

    names = ", ".join(table.schema.names)

    def write(file: Path) -> dict[str, float]:
        encoder = ArrowToPostgresBinaryEncoder(table.schema)
        with (
            psycopg.connect(url) as conn,
            conn.cursor().copy(
                f"copy {table.qualified} ({names}) from stdin (format binary)".encode()
            ) as copy,
        ):
            copy.write(encoder.write_header())
            for rows in batches(file):
                for batch in rows.to_batches():
                    copy.write(encoder.write_batch(batch))
            copy.write(encoder.finish())
        return {}

    return write


def csv_bytes(rows: pa.Table) -> memoryview:
    sink = io.BytesIO()
    pacsv.write_csv(rows, sink, pacsv.WriteOptions(include_header=False, quoting_style="needed"))
    return sink.getbuffer()


def insert_rows(url: str, target: LandedTable) -> Write:
    """Multi-row INSERT … ON CONFLICT, 5,000 rows a statement, the parameters bound by psycopg."""

    def write(file: Path) -> dict[str, float]:
        # the client puts the values in: a statement takes at most 65,535 parameters of its own
        with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as conn:
            for table in (stored(rows, target) for rows in batches(file)):
                columns, key = table.schema.names, target.key
                update = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in key)
                one = f"({', '.join(['%s'] * len(columns))})"
                for start in range(0, table.num_rows, INSERT_ROWS):
                    part = table.slice(start, INSERT_ROWS)
                    rows = list(zip(*(c.to_pylist() for c in part.columns), strict=True))
                    conn.execute(
                        f"insert into {target.qualified} ({', '.join(columns)}) values "
                        f"{', '.join([one] * len(rows))} on conflict ({', '.join(key)}) "
                        f"do update set {update}".encode(),
                        [value for row in rows for value in row],
                    )
        return {}

    return write


def landing_path(url: str, folder: Path, table: LandedTable) -> Write:
    from loaders.landing import load_job
    from loaders.warehouse.tables import Batch

    warehouse = databases.warehouse(url, folder)
    pipeline, _ = load_job.open_pipeline(warehouse, folder / "pipelines", "tdx", "tdx")
    row = {"code": "sh600000", "exchange": "sh", "name": "", "instrument_type": "stock"}
    row |= {"is_listed": True, "source_route": "", "fetched_at": FETCHED, "is_final": True}
    one = pa.Table.from_pylist([row], SECURITY.schema)
    load_job.land(pipeline, warehouse, "tdx", SECURITY, [Batch(one)])
    clocks = _clocked()

    def write(file: Path) -> dict[str, float]:
        clocks.update(dict.fromkeys(CLOCKS, 0.0))
        made = (Batch(rows) for rows in batches(file))
        load_job.land(pipeline, warehouse, "tdx", table, made)
        return {**steps(pipeline), **clocks}

    return write


def _clocked() -> dict[str, float]:
    """Seconds that parts of this process's landing take from now on; the caller sets them back."""
    from loaders.landing import first_copy, indexes, load_job, upsert

    clocks: dict[str, float] = {}

    def clock(owner: Any, name: str, part: str) -> None:
        inner = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*args, **options)
            finally:
                clocks[part] += time.perf_counter() - began

        setattr(owner, name, timed)

    clock(load_job.UpsertCopyJob, "run", "job")
    clock(first_copy, "encoder", "look")
    clock(indexes, "make_way", "look")
    clock(first_copy, "copy_binary", "copy")
    clock(upsert, "copy_binary", "copy")
    clock(first_copy, "_tell", "feed")
    return clocks


def dlt_path(url: str, folder: Path, disposition: Any, file_format: str, dicts: bool) -> Write:
    """dlt's own postgres destination, left as it comes but for what is said here."""
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
        pipeline.run(
            dlt.resource(
                (t.to_pylist() if dicts else t for t in tables),
                name=name,
                primary_key=list(KLINE_DAILY.key),
                write_disposition=disposition,
            ),
            loader_file_format=file_format,  # type: ignore[arg-type]
        )

    def write(file: Path) -> dict[str, float]:
        run("kline_daily", batches(file))
        return steps(pipeline)

    run("warm", [bars(1, 0, 1)])

    return write


def steps(pipeline: Any) -> dict[str, float]:
    """Seconds of dlt's extract, normalize and load of the last run."""
    return {
        step.step: (step.finished_at - step.started_at).total_seconds()
        for step in pipeline.last_trace.steps
        if step.step in DLT_STEPS
    }


def open_path(
    name: str, url: str, folder: Path, table: LandedTable = KLINE_DAILY
) -> tuple[Write, str]:
    """The path, and the name of the table it writes to. dlt's own take day bars alone."""
    if name == "copy":
        return copy_text(url, table), table.qualified
    if name == "binary":
        return copy_binary(url, table), table.qualified
    if name == "insert":
        return insert_rows(url, table), table.qualified
    if name in ("landing", "upsert"):
        if name == "upsert":
            first_copy.FEWEST = NEVER
        return landing_path(url, folder, table), table.qualified
    upsert = {"disposition": "merge", "strategy": "upsert"}
    options: dict[str, tuple[Any, str, bool]] = {
        "dlt-append": ("append", "insert_values", True),
        "dlt-merge": ("merge", "insert_values", True),
        "dlt-arrow-upsert": (upsert, "csv", False),
    }
    return dlt_path(url, folder, *options[name]), "stock.kline_daily"


def main(name: str, kind: str, landed: str, url: str, folder: Path, phases: str) -> dict[str, Any]:
    import shutil
    import tempfile

    databases.prepared(url, folder, kind, TABLES[landed])
    work = Path(tempfile.mkdtemp(dir=folder))
    measured: dict[str, Any] = {}
    try:
        write, table = open_path(name, url, work, TABLES[landed])
        for phase in phases.split(","):
            started = time.perf_counter()
            parts = write(folder / f"{phase}.parquet")
            seconds = time.perf_counter() - started
            measured[phase] = {"seconds": seconds, **parts, **databases.state(url, table)}
            databases.settle(url, table)
    finally:
        shutil.rmtree(work)
    return {"phases": measured, "peak_mb": peak_mb()}


if __name__ == "__main__":
    arguments = sys.argv[1:]
    result = main(*arguments[:4], Path(arguments[4]), arguments[5])
    print(json.dumps(result))
