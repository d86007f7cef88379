"""`loaders selftest`: does every route of a source answer correctly?"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from loaders import log
from loaders.check import Check
from loaders.cli import shell
from loaders.cli.checks import print_checks
from loaders.cli.progress import reporter
from loaders.cli.shell import AsOf, JsonFlag
from loaders.engine.progress import Silent
from loaders.settings import load_settings
from quotemill.errors import DataQualityError, UpstreamError, UsageError


def selftest_command(
    source: Annotated[str, typer.Argument(help="Source (only tdx).")] = "tdx",
    output: Annotated[
        Path | None,
        typer.Option(
            help="JSON file for the results.", show_default="in the folder selftest of the home"
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Markdown file for the failures.", show_default="next to the JSON file"),
    ] = None,
    bulk_timeout: Annotated[
        float, typer.Option(min=0.1, help="Time limit for checks of bulk endpoints, in seconds.")
    ] = 30.0,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print each check as it runs.")
    ] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Call each of the service's 31 endpoints and check the responses.

    The results are stored in the warehouse. Exits with 5 if a check fails, and with 4 if it cannot
    connect to the service.

    Example: loaders selftest tdx --verbose
    """
    if source != "tdx":
        raise UsageError(f"unknown source: {source}", hint="Use tdx.")
    from loaders import loads
    from loaders.engine import check_runs
    from loaders.engine.check_report import failure_page
    from loaders.tdx.selftest import run as selftest

    settings = load_settings()
    shell.start_logs(settings)
    now = shell.parse_time(as_of) or datetime.now(UTC)
    output = output or settings.home / "selftest" / selftest.RESULTS
    report = report or output.with_name(selftest.REPORT)
    options = selftest.Options(settings.tdx.timeout, bulk_timeout, verbose)
    with reporter() as shown_progress:
        shown = asyncio.run(
            selftest.run(settings, options, now, lambda: datetime.now(UTC), shown_progress)
        )
        recorded = selftest.record(shown, os.environ.get(log.SCHEDULE))
        prepare = partial(loads.prepare_warehouse, settings, Silent())
        check_runs.record(settings, prepare, recorded, shown_progress.line)
        selftest.write(output, dumps(shown, ensure_ascii=False, indent=2) + "\n")
        selftest.write(report, failure_page(shown, source))
    shell.print_answer(
        shown, json, lambda: _summarise(shown, recorded.checks, output=output, report=report)
    )
    if shown["status"] == "error":
        raise UpstreamError(
            f"cannot connect to {shown['base_url']}",
            hint=settings.tdx.choose_fix(
                service="Start the service, or correct tdx.base_url in the settings."
            ),
        )
    if shown["status"] == "failed":
        summary = shown["summary"]
        raise DataQualityError(
            f"{summary['failed']} of {summary['total']} checks failed", hint=f"Read {report}."
        )


def _summarise(
    shown: dict[str, Any], checks: Sequence[Check], *, output: Path, report: Path
) -> None:
    from loaders.engine.check_report import may_run

    shown_checks = [
        replace(check, name=f"{no:>2} {check.name}")
        for no, check in enumerate(checks, 1)
        if check.verdict != "ok"
    ]
    for task in filter(may_run, shown["tasks"]):
        shown_checks.append(Check(f"task {task['kind']} {task['id']}", "warn", task["end"]))
    print_checks(shown_checks)
    summary = shown["summary"]
    print(
        f"{summary['total']} checks in {shown['duration_ms'] / 1000:.1f} s: "
        f"{summary['passed']} passed, {summary['failed']} failed, {summary['skipped']} skipped"
    )
    print(f"results: {output}")
    print(f"report: {report}")
