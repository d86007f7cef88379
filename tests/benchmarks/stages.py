"""A load or a build of the whole pipeline, in a process of its own; prints one line of JSON.

python -m tests.benchmarks.stages load|build DSN HOME SERVICE ACTIONS AS_OF
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from loaders.cli import shell
from loaders.progress import Silent
from loaders.run import LoadRequest, run_load
from loaders.settings import Settings, load_settings
from tests.benchmarks.processes import peak_mb


def load(settings: Settings, as_of: datetime) -> dict[str, Any]:
    """Seconds of each stage of a load. What the loader does while dlt draws rows from it is
    `fetch`: waiting for the service, decoding, checking, making Arrow tables."""
    from loaders.warehouse import landing
    from loaders.warehouse.tables import Batch
    from tests.benchmarks.paths import steps

    clocks = dict.fromkeys(("fetch", "fetch_cpu", "extract", "normalize", "load"), 0.0)
    land = landing.land

    def timed(batches: Iterable[Batch]) -> Iterator[Batch]:
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
    ) -> landing.Landed:
        landed = land(pipeline, warehouse, source, table, timed(batches), *rest)
        for step, seconds in steps(pipeline).items():
            clocks[step] += seconds
        return landed

    landing.land = land_timed
    started = time.perf_counter()
    result = run_load(settings, LoadRequest("tdx"), Silent(), as_of=as_of)
    seconds = time.perf_counter() - started
    if result.exit_code:
        raise RuntimeError(f"{result.status}: {result.error} {result.warnings}")
    return {
        "seconds": seconds,
        "fetch": clocks["fetch"],
        "fetch_cpu": clocks["fetch_cpu"],
        "extract": clocks["extract"] - clocks["fetch"],
        "land": clocks["normalize"] + clocks["load"],
        "read": result.total("rows_read"),
        "new": result.total("rows_new"),
        "changed": result.total("rows_changed"),
        "peak_mb": peak_mb(),
    }


def build(settings: Settings) -> dict[str, Any]:
    """Seconds of a build as `quotemill run` does it, and of each model in it."""
    from loaders.warehouse.postgres import open_warehouse
    from orchestration import build as builds

    warehouse = open_warehouse(settings)
    started = time.perf_counter()
    result = builds.build(settings, warehouse, lambda text: None, only_touched=True)
    seconds = time.perf_counter() - started
    models: dict[str, Any] = {}
    if result is not None:
        if not result.succeeded:
            raise RuntimeError(f"the build failed: {result.findings}")
        target = builds.dbt_target(settings, warehouse) / "run_results.json"
        for node in json.loads(target.read_text("utf-8"))["results"]:
            kind, _, name = node["unique_id"].split(".")[:3]
            rows = node["adapter_response"].get("rows_affected")
            models[name] = {"kind": kind, "seconds": node["execution_time"], "rows": rows}
    return {"seconds": seconds, "models": models, "peak_mb": peak_mb()}


def main(stage: str, dsn: str, home: Path, service: str, actions: str, as_of: str) -> Any:
    os.environ["DBT_PROFILES_DIR"] = str(home / "profiles")
    shell.route_logs(lambda text: None)
    settings = load_settings(
        {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": str(home)},
        cwd=home,
        tdx={"base_url": service, "corporate_actions": actions},
    )
    return load(settings, datetime.fromisoformat(as_of)) if stage == "load" else build(settings)


if __name__ == "__main__":
    stage_, dsn_, home_, *rest_ = sys.argv[1:]
    print(json.dumps(main(stage_, dsn_, Path(home_), *rest_)))
