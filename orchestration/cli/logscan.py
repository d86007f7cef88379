"""`quotemill logscan`."""

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from loaders import log, sources
from loaders.cli import shell
from loaders.cli.checks import print_checks
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings
from quotemill.errors import DataQualityError, UsageError
from quotemill.readers.listed import require_known

LAST = "last"


def logscan_command(
    source: Annotated[
        str | None,
        typer.Argument(help="Scan only this source: tdx, tq, ib or dbt.", show_default="all"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Scan from this time (UTC) to now. `last`: from the end of the last such scan.",
            show_default="a day ago",
        ),
    ] = None,
    date: Annotated[
        str | None,
        typer.Option(help="Scan this day, in the source's time zone (all sources: UTC)."),
    ] = None,
    keyword: Annotated[
        list[str] | None,
        typer.Option(
            "--keyword",
            "--keywords",
            help="Search for these words too, in any case: A,B. Can be repeated.",
        ),
    ] = None,
    level: Annotated[
        str, typer.Option(help="Lowest level of lines to search for words.")
    ] = "warning",
    max_total: Annotated[
        int | None,
        typer.Option(min=0, help="Allow this many lines with a keyword, at any level."),
    ] = None,
    write_summary: Annotated[
        bool,
        typer.Option(
            "--write-summary",
            help="Write the result to summary_DAY.json in the home's logs/errors too.",
        ),
    ] = False,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Act as if it were this time (UTC).")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Count problems in the command log.

    Scans logs/run-DAY.jsonl in the home (a file per UTC day) for errors, tracebacks and each
    source's keywords, such as pacing or disconnect for ib. Exits with 5 if any line is an error
    (with --max-total, if more lines than that have a keyword) or if the log has no lines. Warnings
    are only listed.

    Example: quotemill logscan ib --date 2026-11-20 --json
    """
    from orchestration.checks import logscan as scans
    from orchestration.checks.result_file import name_file, write_result
    from orchestration.run.metrics import measure_command

    if since is not None and date is not None:
        raise UsageError("--since and --date can't be combined", hint="Give only one of them.")
    require_known("--level", [level], log.LEVELS)
    if source not in (None, "dbt"):
        sources.find(str(source))
    settings = load_settings()
    with measure_command(settings, "logscan", source or "") as figures:
        home = settings.home
        folder = home / "logs"
        last = scans.read_last(home, source) if since == LAST else None
        start, end = _parse_window(
            None if since == LAST else since,
            date,
            as_of,
            last=last.until if last else None,
            zone=_find_zone(source),
        )
        scan = scans.run(
            folder,
            start,
            end,
            source=source,
            keywords=keyword or (),
            level=level,
            max_total=max_total,
            is_day=date is not None,
        )
        kinds = scans.list_known_kinds(last, scan)
        figures |= {
            "lines": scan.lines,
            "found_lines": scan.matching,
            "error_lines": scan.errors,
            "damaged_lines": scan.damaged,
            **({"error_kinds": len(kinds)} if scan.errors else {}),
        }
        if write_summary:
            zone, at = _find_zone(source), shell.parse_time(as_of, UTC)
            day = shell.parse_day(date, zone, at) or end.astimezone(zone).date()
            write_result(name_file(home, "errors", "summary", day), scan.as_json())
        shell.print_answer(scan.as_json(), json, lambda: print_checks(scan.checks))
        # the next scan repeats the window of an empty one
        if since == LAST and scan.status != "empty":
            scans.store(home, source, scans.Last(end, kinds))
        [check, *_] = scan.checks
        if scan.exit_code:
            raise DataQualityError(check.sentence, hint=check.fix)


def _find_zone(source: str | None) -> tzinfo:
    """The time zone of a source, whose days --date names."""
    zone = sources.find_zone(source)
    return ZoneInfo(zone) if zone else UTC


def _parse_window(
    since: str | None,
    day: str | None,
    as_of: str | None,
    *,
    last: datetime | None,
    zone: tzinfo,
) -> tuple[datetime, datetime]:
    if (parsed := shell.parse_day(day, zone, shell.parse_time(as_of, UTC))) is not None:
        try:
            days = (parsed, parsed + timedelta(days=1))
            start, end = (datetime.combine(each, time(), zone).astimezone(UTC) for each in days)
        except OverflowError:
            raise UsageError(f"no log exists for --date {parsed}") from None
        return start, end
    end = shell.parse_time(as_of, UTC) or datetime.now(UTC)
    if last is not None and last < end:  # a clock may have gone back
        return last.astimezone(UTC), end.astimezone(UTC)
    start = shell.parse_time(since, UTC) or end - timedelta(days=1)
    if start >= end:
        raise UsageError(f"--since {since} is not before {end:%Y-%m-%d %H:%M} UTC")
    return start.astimezone(UTC), end.astimezone(UTC)
