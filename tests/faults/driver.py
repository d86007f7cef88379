"""The `loaders` command with a hand on its throat: it kills its own process at a chosen moment.

    python -m tests.faults.driver REPORT MOMENT NTH run tdx --as-of ...

REPORT gets one line, `stage: moment`, flushed to the disk before the kill. With the moment `none`
nothing is killed and REPORT gets how often each moment came, as JSON.
In the environment, FAULTS_SIGNAL names another signal than KILL, FAULTS_VICTIM the numbers of other
processes than its own, with commas between (0 is its process group), and FAULTS_PATIENCE how many
seconds a load waits for its warehouse.
"""

import atexit
import json
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

FETCHING = "fetching"
SPOOLED = "spooled"
LANDING = "inside the transaction"
UNMARKED = "committed but not marked"
CURSORS = "saving cursors"
FOLDER = "renewing the folder"
DELETED = "old ticks deleted, new ones not inserted"
STRAIGHT = "copied straight into the table, not committed"
STAGES = (FETCHING, SPOOLED, LANDING, UNMARKED, CURSORS, FOLDER)

MOMENTS = {
    "request about to be sent": FETCHING,
    "answer received": FETCHING,
    "between two codes": FETCHING,
    "a batch handed to dlt": FETCHING,
    "extracted, not normalized": SPOOLED,
    "normalized, not loading": SPOOLED,
    "load begun, no file started": SPOOLED,
    "after COPY, before the upsert": LANDING,
    STRAIGHT: LANDING,
    DELETED: LANDING,
    "after the upsert, before the commit": LANDING,
    "after the commit, dlt not told": UNMARKED,
    "dlt told, file not moved": UNMARKED,
    "all files moved, no load row": UNMARKED,
    "load row written, package not filed": UNMARKED,
    "state about to be packed": CURSORS,
    "state packed, package not committed": CURSORS,
    "state row copied, not committed": CURSORS,
    "state row committed, not marked": CURSORS,
    "before ingestion_state": CURSORS,
    "ingestion_state written, not committed": CURSORS,
    "folder half removed": FOLDER,
}
BY_CODE = ("kline_daily", "minute_1m", "tick_trade")
STATE_TABLE = "_dlt_pipeline_state"

_counts: Counter[str] = Counter()
_lock = threading.Lock()
_report, _target, _nth = Path(), "none", 0


def hit(moment: str) -> None:
    with _lock:
        _counts[moment] += 1
        due = moment == _target and _counts[moment] == _nth
        if due:
            with _report.open("w") as file:
                file.write(f"{MOMENTS[moment]}: {moment}")
                file.flush()
                os.fsync(file.fileno())
            for victim in os.environ.get("FAULTS_VICTIM", f"{os.getpid()}").split(","):
                os.kill(
                    int(victim), signal.Signals["SIG" + os.environ.get("FAULTS_SIGNAL", "KILL")]
                )


def around(
    owner: Any,
    name: str,
    before: Callable[..., str | None] | str | None = None,
    after: Callable[..., str | None] | str | None = None,
) -> None:
    """Replace `owner.name` by itself with moments before and after it."""
    original = getattr(owner, name)

    def tell(moment: Callable[..., str | None] | str | None, *args: Any) -> None:
        found = moment(*args) if callable(moment) else moment
        if found is not None:
            hit(found)

    def replacement(*args: Any, **kwargs: Any) -> Any:
        tell(before, *args)
        result = original(*args, **kwargs)
        tell(after, *args)
        return result

    setattr(owner, name, replacement)


def patch_fetching() -> None:
    from loaders.cli.progress import Lines
    from loaders.engine import tasks
    from loaders.tdx.client import connection

    def asking(ask: Callable[..., Any]) -> Callable[..., Any]:
        async def asked(*args: Any, **kwargs: Any) -> Any:
            hit("request about to be sent")
            answer = await ask(*args, **kwargs)
            hit("answer received")
            return answer

        return asked

    connection.send = asking(connection.send)
    around(
        Lines,
        "advance",
        after=lambda _, dataset, *__: "between two codes" if dataset in BY_CODE else None,
    )
    around(tasks.RunningTask, "batch", after="a batch handed to dlt")


def patch_landing() -> None:
    from dlt.common.storages.load_package import PackageStorage
    from dlt.common.storages.load_storage import LoadStorage
    from dlt.destinations.job_client_impl import SqlJobClientBase
    from dlt.load.load import Load
    from dlt.pipeline.pipeline import Pipeline

    from loaders.landing import cursors, first_copy, landed_file, load_job

    def by_table(rows: str, state: str) -> Callable[..., str]:
        return lambda job, *_: state if job.load_table_name == STATE_TABLE else rows

    around(Pipeline, "normalize", before="extracted, not normalized")
    around(Pipeline, "load", before="normalized, not loading")
    around(Load, "start_new_jobs", before="load begun, no file started")
    around(landed_file, "copy_to_stage", after="after COPY, before the upsert")
    around(first_copy, "_tell", before=STRAIGHT)
    around(landed_file, "replace_units", after=DELETED)
    around(
        load_job.UpsertCopyJob,
        "_land",
        after=by_table("after the upsert, before the commit", "state row copied, not committed"),
    )
    around(
        load_job.UpsertCopyJob,
        "run",
        after=by_table("after the commit, dlt not told", "state row committed, not marked"),
    )
    around(PackageStorage, "complete_job", before="dlt told, file not moved")
    around(SqlJobClientBase, "complete_load", before="all files moved, no load row")
    around(LoadStorage, "complete_load_package", before="load row written, package not filed")
    around(
        Pipeline,
        "_bump_version_and_extract_state",
        before="state about to be packed",
        after="state packed, package not committed",
    )
    around(
        cursors,
        "publish",
        before="before ingestion_state",
        after="ingestion_state written, not committed",
    )
    remove = shutil.rmtree

    def half(path: Any, *args: Any, **kwargs: Any) -> None:
        files = sorted(p for p in Path(path).rglob("*") if p.is_file())
        if _target == "folder half removed":
            for file in files[: len(files) // 2 + 1]:
                file.unlink()
        hit("folder half removed")
        remove(path, *args, **kwargs)

    # its own name in the module, or every rmtree of dlt would count
    load_job.shutil = type("Shutil", (), {"rmtree": staticmethod(half)})


def main() -> None:
    global _report, _target, _nth
    report, _target, nth, *command = sys.argv[1:]
    _report, _nth = Path(report), int(nth)
    if _target == "none":
        atexit.register(lambda: _report.write_text(json.dumps(_counts)))
    patch_fetching()
    patch_landing()
    if patience := os.environ.get("FAULTS_PATIENCE"):
        from loaders.warehouse import postgres

        postgres.PATIENCE = float(patience)
    from loaders.cli import main as loaders_main

    sys.argv = ["loaders", *command]
    loaders_main()


if __name__ == "__main__":
    main()
