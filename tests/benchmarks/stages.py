"""A load or a build of the whole pipeline, in a process of its own; prints one line of JSON.

python -m tests.benchmarks.stages load|build|count DSN HOME SERVICE ACTIONS AS_OF DATASETS SETTINGS

DATASETS have commas between them, SETTINGS are of the section `tdx`, as JSON.
"""

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from loaders.cli import shell
from loaders.engine.load import run_load
from loaders.engine.request import LoadRequest
from loaders.progress import Silent
from loaders.settings import Settings, load_settings
from tests.benchmarks.processes import peak_mb

CLOCKS = ("fetch", "fetch_cpu", "extract", "normalize", "load", "read")


def load(settings: Settings, as_of: datetime, datasets: Sequence[str]) -> dict[str, Any]:
    """Seconds of each stage of a load, in all and by table. What the loader does while dlt draws
    rows from it is `fetch`: waiting for the service, decoding, checking, making Arrow tables."""
    from loaders.landing import load_job
    from loaders.warehouse.tables import Batch
    from tests.benchmarks.paths import steps

    by_table: dict[str, dict[str, float]] = {}
    land = load_job.land

    def timed(batches: Iterable[Batch], clocks: dict[str, float]) -> Iterator[Batch]:
        source = iter(batches)
        while True:
            wall, cpu = time.perf_counter(), time.process_time()
            batch = next(source, None)
            clocks["fetch"] += time.perf_counter() - wall
            clocks["fetch_cpu"] += time.process_time() - cpu
            if batch is None:
                return
            yield batch

    def land_timed(
        pipeline: Any, warehouse: Any, source: str, table: Any, batches: Any, *rest: Any
    ) -> load_job.Landed:
        clocks = by_table.setdefault(table.name, dict.fromkeys(CLOCKS, 0.0))
        landed = land(pipeline, warehouse, source, table, timed(batches, clocks), *rest)
        for step, seconds in steps(pipeline).items():
            clocks[step] += seconds
        clocks["read"] += landed.read
        return landed

    load_job.land = land_timed
    started = time.perf_counter()
    request = LoadRequest("tdx", datasets=tuple(datasets))
    result = run_load(settings, request, Silent(), as_of=as_of)
    seconds = time.perf_counter() - started
    if result.exit_code:
        raise RuntimeError(f"{result.status}: {result.error} {result.warnings}")
    tables = {
        name: {
            "fetch": clocks["fetch"],
            "fetch_cpu": clocks["fetch_cpu"],
            "extract": clocks["extract"] - clocks["fetch"],
            "land": clocks["normalize"] + clocks["load"],
            "read": clocks["read"],
        }
        for name, clocks in by_table.items()
    }
    return {
        "seconds": seconds,
        **{
            clock: sum(table[clock] for table in tables.values())
            for clock in ("fetch", "fetch_cpu", "extract", "land")
        },
        "tables": tables,
        "read": result.total("rows_read"),
        "new": result.total("rows_new"),
        "changed": result.total("rows_changed"),
        "peak_mb": peak_mb(),
    }


def build(settings: Settings) -> dict[str, Any]:
    """Seconds of a build as `quotemill run` does it, and of each model and test in it."""
    from loaders.warehouse.postgres import open_warehouse
    from orchestration.run import build as builds

    warehouse = open_warehouse(settings)
    outcomes: list[Any] = []
    invoke = builds.invoke

    def kept(*args: Any, **options: Any) -> Any:
        outcomes.append(invoke(*args, **options))
        return outcomes[-1]

    builds.invoke = kept
    started = time.perf_counter()
    result = builds.build(settings, warehouse, lambda text: None, only_touched=True)
    seconds = time.perf_counter() - started
    nodes: list[dict[str, Any]] = []
    if result is not None:
        if not result.succeeded:
            raise RuntimeError(f"the build failed: {result.findings}")
        found = [
            {
                "unique_id": ran.node.unique_id,
                "execution_time": ran.execution_time,
                "adapter_response": ran.adapter_response,
                "timing": [step.to_dict() for step in ran.timing],
            }
            for ran in outcomes[-1].result
        ]
        nodes = [
            {
                "kind": node["unique_id"].split(".")[0],
                "name": node["unique_id"].split(".")[2],
                "seconds": node["execution_time"],
                "wall": wall,
                "rows": node["adapter_response"].get("rows_affected"),
            }
            for node, wall in zip(found, wall_parts(found), strict=True)
        ]
    return {"seconds": seconds, "nodes": nodes, "peak_mb": peak_mb()}


def wall_parts(nodes: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds of the wall clock that each node of dbt's results took; what several took at the same
    time counts for each of them by an equal part."""
    spans = [
        [datetime.fromisoformat(step[end]) for step in node["timing"] for end in ENDS]
        for node in nodes
    ]
    moments = sorted({moment for span in spans for moment in span})
    parts = [0.0] * len(nodes)
    for begin, end in itertools.pairwise(moments):
        running = [i for i, span in enumerate(spans) if span and min(span) <= begin < max(span)]
        for i in running:
            parts[i] += (end - begin).total_seconds() / len(running)
    return parts


ENDS = ("started_at", "completed_at")


def main(
    stage: str,
    dsn: str,
    home: Path,
    service: str,
    actions: str,
    as_of: str,
    datasets: str,
    options: str,
) -> Any:
    os.environ["DBT_PROFILES_DIR"] = str(home / "profiles")
    shell.route_logs(lambda text: None)
    # as the commands do: Python's own handler would have asyncio replace it for each answer
    signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
    settings = load_settings(
        {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": str(home)},
        cwd=home,
        tdx={"base_url": service, "corporate_actions": actions} | json.loads(options),
    )
    if stage == "build":
        return build(settings)
    if stage == "count":
        from tests.benchmarks.node_reads import counting

        with counting(dsn) as reads:
            build(settings)
        return reads
    return load(settings, datetime.fromisoformat(as_of), datasets.split(","))


if __name__ == "__main__":
    stage_, dsn_, home_, *rest_ = sys.argv[1:]
    print(json.dumps(main(stage_, dsn_, Path(home_), *rest_)))
