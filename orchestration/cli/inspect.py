"""`quotemill status`, `quotemill findings` and `quotemill doctor`."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loaders import sources
from loaders.check import Check
from loaders.cli import jobs, shell
from loaders.cli.checks import print_checks
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings
from loaders.trading_time import format_time
from loaders.warehouse.postgres import find_current_warehouse, keep_current_warehouse
from quotemill.errors import QuotemillError, UsageError, most_severe

if TYPE_CHECKING:
    from loaders.engine.failed_keys import FailedKey
    from orchestration.run.findings import Finding

PROBLEMS = ("tick store", "schedule")  # checks whose failures do not fail `status`
FreshnessAt = Annotated[
    str | None,
    typer.Option("--as-of", help="Evaluate freshness as of this time.", show_default="now"),
]


def status_command(
    limit: Annotated[int, typer.Option(min=1, help="Number of loads and builds to show.")] = 5,
    as_of: FreshnessAt = None,
    json: JsonFlag = False,
) -> None:
    """Show recent loads and builds, freshness, failures and fixes.

    Example: quotemill status --json
    """
    from orchestration.checks import status
    from orchestration.run import findings

    at = shell.parse_time(as_of)
    settings = load_settings()
    with keep_current_warehouse(settings) as warehouse:
        shown = status.read_status(settings, warehouse, limit, at)
    if json:
        shell.print_json(shown.as_json() | jobs.describe_place(settings))
        _raise_broken(shown.problems)
        return
    jobs.print_place(settings, shown.loads["warehouse"])
    if shown.timescale is not None:
        off = f": no {', '.join(shown.timescale.off)}" if shown.timescale.off else ""
        shell.print_wrapped(f"edition: {shown.timescale}{off}")
    print_checks(shown.problems)  # first, as they explain what follows
    fresh = {row["dataset"]: _describe_freshness(row) for row in shown.freshness}
    if shown.loads["jobs"]:  # else the first problem says what to do
        jobs.print_jobs(shown.loads, fresh)
    for dataset in sorted(fresh.keys() - {row["dataset"] for row in shown.loads["datasets"]}):
        print(f"{dataset:<21} {fresh[dataset]}")
    zone = sources.find_common_zone(job["source"] for job in shown.loads["jobs"])
    for build in shown.builds:
        shell.print_wrapped(
            f"build {build['build_id']:>3} {format_time(build['started_at'], zone)}  "
            f"{build['status']:<11} {_describe_build(build)}",
            10,
        )
    if shown.freshness:
        print(f"findings: {findings.tally(shown.findings)}. See `quotemill findings`")
        errors = [finding for finding in shown.findings if finding.severity == "error"]
        print_checks(map(_add_state, errors[: findings.SHOWN]))
        if len(errors) > findings.SHOWN:
            print(f"  {len(errors) - findings.SHOWN:,} more errors")
    if shown.ticks is not None:
        print(f"ticks in {shown.ticks}")
    _raise_broken(shown.problems)


def _raise_broken(problems: Iterable[Check]) -> None:
    """Exit by the most severe error of checks that could not be made.

    A store that is away and a job that cannot be read are problems, which are what is asked for.
    """
    codes = [
        check.exit_code
        for check in problems
        if check.verdict == "fail"
        and (check.name not in PROBLEMS or check.exit_code == QuotemillError.exit_code)
    ]
    if broken := most_severe(codes):
        raise typer.Exit(broken)


def _describe_build(build: dict[str, Any]) -> str:
    """The progress of a build, or its result."""
    if build["status"] == "running" and build["nodes"]:
        runs = f"; {build['node']} runs" if build["node"] else ""
        return f"{build['nodes_done']} of {build['nodes']} done{runs}"
    return (
        f"{build['models_built'] or 0} models, {build['rows_written'] or 0:,} rows; tests: "
        f"{build['tests_passed'] or 0} passed, {build['tests_warned'] or 0} warned, "
        f"{build['tests_failed'] or 0} failed"
    )


def _describe_freshness(row: dict[str, Any]) -> str:
    """Freshness by content: cursors of what is read whole stand at the day of the load."""
    if row["is_stale"]:
        end = f"up to {row['last_date']}" if row["last_date"] else "no row"
        return f"stale: {end}, expected {row['expected_date']}"
    state = "fresh" if row["expected_date"] else "loaded on demand"
    return f"{state}: up to {row['last_date']}" if row["last_date"] else state


def findings_command(
    new: Annotated[
        bool,
        typer.Option("--new", help="Show only findings that are new in the newest run."),
    ] = False,
    severity: Annotated[
        str | None,
        typer.Option(help="Show only this severity: error, warning or info.", show_default="all"),
    ] = None,
    ack: Annotated[
        list[str] | None,
        typer.Option(
            help="Acknowledge a finding number, all findings of a check, or a failed key "
            '("kline_daily sh600000"). Can be repeated.'
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Reason to store with --ack.")] = None,
    as_of: FreshnessAt = None,
    json: JsonFlag = False,
) -> None:
    """List data-quality findings.

    A finding is new until the next run, then standing. If it disappears and returns, it is new
    again. --ack accepts a finding until it disappears. Failed keys come last: `--ack sh600000`,
    `--ack "kline_daily sh600000"` or, for a whole dataset, `--ack kline_daily` stops their alert
    and exit code until a load of them succeeds.

    Example: quotemill findings --ack 12 --reason "halted that day"
    """
    from orchestration.checks import findings as wrong
    from orchestration.run import findings

    if ack and not reason:
        raise UsageError("--ack needs a reason", hint='Add --reason "why it is accepted".')
    if reason and not ack:
        raise UsageError("--reason needs --ack", hint="Add --ack NUMBER or --ack CHECK.")
    at = shell.parse_time(as_of)
    warehouse = find_current_warehouse(load_settings())
    if ack and reason:
        done = wrong.acknowledge(warehouse, ack, reason, severity=severity, as_of=at)
        print(f"{done:,} acknowledged", file=sys.stderr)
    states = ("new",) if new else findings.STATES
    shown = wrong.read_wrong(warehouse, severity=severity, states=states, as_of=at)
    if json:
        shell.print_json(shown.as_json())
        return
    print_checks(map(_add_state, shown.findings))
    print(f"findings: {shown.counts}")
    if shown.failed_keys:
        print("failed keys that no load has loaded since:")
        print_checks(map(_add_state, shown.failed_keys))


def _add_state(row: "Finding | FailedKey") -> Check:
    return replace(row.check, sentence=f"{row.check.sentence} ({row.state_words})")


def doctor_command(as_of: FreshnessAt = None, json: JsonFlag = False) -> None:
    """Check settings, warehouse, services, disk, clock and calendar.

    Prints a fix for every problem found.

    Example: quotemill doctor
    """
    from orchestration.checks import gather

    checks = gather.examine(load_settings(), as_of=shell.parse_time(as_of))
    print_checks(checks, json=json)
    raise typer.Exit(most_severe(check.exit_code for check in checks))
