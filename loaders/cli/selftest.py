"""`loaders selftest`: does every route of a source answer as it should?"""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loaders import log, request_counts
from loaders.cli import shell
from loaders.cli.progress import reporter
from loaders.cli.shell import AsOf, JsonFlag
from loaders.errors import DataQualityError, UpstreamError, UsageError
from loaders.settings import Settings, load_settings

if TYPE_CHECKING:
    from loaders.engine.test_runs import Record


def selftest_command(
    source: Annotated[str, typer.Argument(help="tdx")] = "tdx",
    output: Annotated[
        Path | None,
        typer.Option(help="The JSON file; below QUOTEMILL_HOME/selftest if absent."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="The page about failures (Markdown); beside the JSON file if absent."),
    ] = None,
    bulk_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a check of a bulk route may take.")
    ] = 30.0,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Tell of each check as it is made.")
    ] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Make one request to each of the 31 routes and check the answers; record what came of it.

    Exit code 0 if no check failed, 5 if some did, 4 if nobody answers at the address.

    Example: loaders selftest tdx --verbose
    """
    if source != "tdx":
        raise UsageError(f"unknown source {source}", hint="sources: tdx")
    from loaders.tdx.selftest import report as reports
    from loaders.tdx.selftest import runner

    settings = load_settings()
    shell.start_logs(settings)
    now = shell.parse_instant(as_of) or datetime.now(UTC)
    output = output or settings.home / "selftest" / reports.RESULTS
    report = report or output.with_name(reports.REPORT)
    options = runner.Options(settings.tdx.timeout, bulk_timeout, verbose)
    # both cancel the tasks started in the service; a shell's `&` has Ctrl-C off
    a_kill_is_a_ctrl_c = shell.signals(
        {
            signal.SIGINT: signal.default_int_handler,
            signal.SIGTERM: lambda *_: signal.raise_signal(signal.SIGINT),
        }
    )
    with a_kill_is_a_ctrl_c, reporter() as told:
        run = asyncio.run(runner.run(settings, options, now, lambda: datetime.now(UTC), told))
        shown = reports.document(run)
        record(settings, reports.record(shown, run, os.environ.get(log.SCHEDULE)), told.line)
        reports.write(output, reports.as_text(shown))
        reports.write(report, reports.failure_page(shown))
    if json:
        shell.print_json(shown)
    else:
        _summarise(shown, output, report)
    if run.status == "error":
        raise UpstreamError(
            f"nobody answers at {run.base_url}",
            hint="start the service, or mend tdx.base_url in the settings",
        )
    if run.status == "failed":
        raise DataQualityError(
            f"{run.count('failed')} of {len(run.results)} checks failed", hint=f"see {report}"
        )


def record(settings: Settings, run: "Record", say: Callable[[str], object]) -> None:
    """Write a run and its figures to the warehouse if it can be opened, and tell where the service has changed."""
    from loaders.engine import metrics
    from loaders.engine import test_runs as records

    recorded = records.record_if_possible(settings, run, say)
    if recorded is None:
        return
    figures = {f"{status}_checks": run.count(status) for status in ("passed", "failed", "skipped")}
    seconds = (run.finished_at - run.started_at).total_seconds()
    asked = request_counts.counted()  # by this process alone, which does nothing else
    of_all = {"seconds": round(seconds, 2), **figures, **asked}
    metrics.record(settings, metrics.of_stage(run.kind, run.source, of_all))
    say(f"recorded as run {recorded.run_id} of ops.testing_runs")
    if recorded.changed:
        say(
            f"warning: other fields than in run {recorded.before}: {', '.join(recorded.changed)};"
            " another revision of the service?"
        )


def _summarise(shown: dict[str, Any], output: Path, report: Path) -> None:
    from loaders.tdx.selftest.report import may_run

    for row in shown["results"]:
        if row["status"] != "passed":
            print(f"{row['status']:<7} {row['no']:>2} {row['name']}: {row['reason']}")
        for warning in row["warnings"]:
            print(f"warning {row['no']:>2} {row['name']}: {warning}")
    for task in shown["tasks"]:
        if may_run(task):
            print(f"warning: task {task['kind']} {task['id']}: {task['end']}")
    summary = shown["summary"]
    print(
        f"{summary['total']} checks in {shown['duration_ms'] / 1000:.1f} s: "
        f"{summary['passed']} passed, {summary['failed']} failed, {summary['skipped']} skipped; "
        f"fingerprint {shown['fingerprint']}"
    )
    print(f"results: {output}")
    print(f"report: {report}")
