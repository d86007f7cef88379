"""`loaders status` and `loaders cancel`."""

from typing import Annotated, Any

import typer

from loaders.cli import shell
from loaders.settings import load_settings
from loaders.warehouse.postgres import Warehouse, open_warehouse


def status_command(
    limit: Annotated[int, typer.Option(help="How many jobs to show.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """The last loads, what failed of them, and how far each dataset has come.

    Example: loaders status --json
    """
    shown = report(open_warehouse(load_settings()), limit)
    if json:
        shell.print_json(shown)
        return
    print_report(shown)


def report(warehouse: Warehouse, limit: int = 10) -> dict[str, Any]:
    """Jobs, failures of the newest one, and the state of each dataset, as plain values."""
    from psycopg.rows import dict_row

    from loaders import jobs

    with warehouse.connect() as conn, conn.cursor(row_factory=dict_row) as cur:
        if not _is_prepared(conn):
            return {"warehouse": warehouse.label, "jobs": [], "failures": {}, "datasets": []}
        recent = list(jobs.recent_jobs(conn, limit))
        failures = cur.execute(
            "select dataset, failures from ops.ingestion_job_tasks where failures <> '{}' "
            "and job_id = (select max(job_id) from ops.ingestion_jobs) order by task_no"
        ).fetchall()
        datasets = cur.execute(
            "select source, dataset, count(*)::int as keys, min(last_success_date) as oldest, "
            "max(last_success_date) as newest, max(last_success_at) as at "
            "from ops.ingestion_state group by source, dataset order by source, dataset"
        ).fetchall()
    failed: dict[str, dict[str, str]] = {}
    for row in failures:
        failed.setdefault(row["dataset"], {}).update(row["failures"])
    return {
        "warehouse": warehouse.label,
        "jobs": recent,
        "failures": failed,
        "datasets": list(datasets),
    }


def _is_prepared(conn: Any) -> bool:
    row = conn.execute("select to_regclass('ops.ingestion_jobs') is not null").fetchone()
    return bool(row[0])


def print_report(shown: dict[str, Any]) -> None:
    """The report as text on stdout."""
    print(f"warehouse: {shown['warehouse']}")
    if not shown["jobs"]:
        print("no load has run yet: `loaders run tdx`")
        return
    for job in shown["jobs"]:
        began = f"{job['started_at']:%Y-%m-%d %H:%M:%S}"
        print(
            f"job {job['job_id']:>4}  {began} UTC  {job['source']} {job['mode']:<11} "
            f"{job['status']:<11} {job['done']:,} done, {job['skipped']:,} skipped, "
            f"{job['failed']:,} failed; {job['rows_new']:,} new, {job['rows_changed']:,} changed"
            + (f"; {job['error']}" if job["error"] else "")
        )
    for row in shown["datasets"]:
        oldest = "" if row["oldest"] == row["newest"] else f", the oldest at {row['oldest']}"
        print(f"{row['dataset']:<18} {row['keys']:,} keys up to {row['newest']}{oldest}")
    for dataset, failures in shown["failures"].items():
        for key, why in list(failures.items())[:10]:
            print(f"failed: {dataset} {key}: {why}")
        if len(failures) > 10:
            print(f"failed: {dataset}: {len(failures) - 10:,} more")
    if shown["failures"]:
        print("mend: `loaders retry`")


def cancel_command(
    job: Annotated[int | None, typer.Argument(help="the running one if absent")] = None,
) -> None:
    """Ask a running load to stop; it finishes what is in hand.

    Example: loaders cancel
    """
    from loaders import jobs

    asked = jobs.request_cancel(open_warehouse(load_settings()), job)
    print(f"job {asked} is asked to stop; `loaders status` tells when it has")
