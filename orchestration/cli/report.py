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
        Path | None, typer.Option("--out", help="The file; report.html of the home if absent.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Show from this day on; the year up to the newest data if absent."),
    ] = None,
    as_of: EvaluatedAt = None,
    json: JsonFlag = False,
) -> None:
    """Write the state of everything as one page of HTML.

    Runs, freshness, coverage, findings, timings, space. The page needs no server and no other file,
    and has the same size for any warehouse.

    Example: quotemill report --out report.html --since 2024-01-01
    """
    from orchestration.report import gather, page

    settings, at = load_settings(), shell.parse_time(as_of)
    start = shell.parse_day(since, as_of=at)
    if start and start > (at or datetime.now(UTC)).date():
        raise UsageError(f"--since {start} is in the future", hint="give a past day")
    path = out or page.default_path(settings)
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="--out names a file")
    report = gather.gather(settings, find_current_warehouse(settings), start, at)
    page.write(report, path)
    if json:
        shell.print_json(
            {"path": str(path), "since": report.since, "problems": len(report.status.problems)}
        )
        return
    print(path)
