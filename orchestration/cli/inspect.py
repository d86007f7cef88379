"""`quotemill status` and `quotemill doctor`."""

from typing import Annotated

import typer

from loaders.cli import jobs, shell
from loaders.cli.shell import JsonFlag
from loaders.errors import gravest
from loaders.settings import load_settings
from loaders.warehouse.postgres import open_warehouse


def status_command(
    limit: Annotated[int, typer.Option(min=1, help="How many loads and builds to show.")] = 5,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Judge freshness at this instant.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """The last loads and builds, how fresh each dataset is, what failed and what mends it.

    Example: quotemill status --json
    """
    from orchestration import status

    instant = shell.parse_instant(as_of)
    shown = status.read(
        open_warehouse(load_settings()), limit, instant.isoformat() if instant else None
    )
    if json:
        shell.print_json(shown.as_json())
        return
    jobs.print_jobs(shown.loads)
    for build in shown.builds:
        print(
            f"build {build['build_id']:>3} {build['started_at']:%Y-%m-%d %H:%M:%S} UTC  "
            f"{build['status']:<11} {build['models_built'] or 0} models, "
            f"{build['rows_written'] or 0:,} rows; tests: {build['tests_passed'] or 0} passed, "
            f"{build['tests_warned'] or 0} warned, {build['tests_failed'] or 0} failed"
        )
    for row in shown.freshness:
        word = "stale" if row["is_stale"] else "fresh"
        print(
            f"{row['dataset']:<18} {word}: up to {row['last_date']}, expected {row['expected_date']}"
        )
    counts = ", ".join(f"{count:,} {severity}" for severity, count in shown.findings.items())
    if shown.freshness:
        print(f"findings: {counts or 'none'} (table qa.findings)")
    jobs.print_failures(shown.loads)
    for wrong, mend in shown.mends:
        print(f"mend: {wrong}: `{mend}`")


def doctor_command(json: JsonFlag = False) -> None:
    """Check settings, warehouse, service, disk, clock and calendar; say what mends each.

    Example: quotemill doctor
    """
    from orchestration import doctor

    checks = doctor.examine(load_settings())
    if json:
        shell.print_json([check.__dict__ for check in checks])
    else:
        for check in checks:
            print(f"{check.status:<5} {check.name:<11} {check.seen}")
            if check.mend:
                print(f"      {'':<11} mend: {check.mend}")
    raise typer.Exit(gravest(check.exit_code for check in checks))
