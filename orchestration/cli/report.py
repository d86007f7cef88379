"""`quotemill report`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import EvaluatedAt, JsonFlag
from loaders.settings import load_settings
from loaders.warehouse.postgres import find_current_warehouse
from quotemill.errors import UsageError


def report_command(
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write.", show_default="report.html in the home"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="First day to show.", show_default="a year before the newest data"),
    ] = None,
    as_of: EvaluatedAt = None,
    json: JsonFlag = False,
) -> None:
    """Write a one-page HTML status report.

    It shows runs, freshness, coverage, findings, timings and disk space. You can open or send the
    file by itself: it needs no server.

    Example: quotemill report --out report.html --since 2024-01-01
    """
    from orchestration.report import gather, page

    settings, at = load_settings(), shell.parse_time(as_of)
    start = shell.parse_day(since, as_of=at)
    if start and start > (at or datetime.now(UTC)).date():
        raise UsageError(f"--since {start} is in the future", hint="Give a past day.")
    path = out or page.default_path(settings)
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="Give --out the path of a file.")
    report = gather.gather(settings, find_current_warehouse(settings), start, at)
    page.write(report, path)
    problems = len(report.status.problems)
    document = {"path": str(path), "since": report.since, "problems": problems}
    shell.print_answer(document, json, lambda: print(path))
