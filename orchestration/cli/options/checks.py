"""`quotemill selfcheck`, and `quotemill options selfcheck` and `qa`."""

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated

import typer

from loaders import sources
from loaders.cli import shell
from loaders.cli.shell import EvaluatedAt
from loaders.ib.slots import date_in_new_york, parse_session_day
from loaders.settings import Settings, load_settings
from loaders.trading_time import DAY_WORDS
from loaders.warehouse.postgres import require_warehouse
from quotemill.errors import DataQualityError, NotDue, UsageError

Session = Annotated[
    str | None,
    typer.Option(
        "--date",
        help="The session: 2026-11-25, today, yesterday (the one before today's); the newest "
        "finished one if absent.",
    ),
]
SelfcheckFile = Annotated[
    Path | None,
    typer.Option(
        help="Write it to this file; logs/selfcheck/selfcheck_20261125.json of the home if absent."
    ),
]


def selfcheck_command(
    source: Annotated[str, typer.Argument(help="The source: ib.")],
    date: Session = None,
    write: SelfcheckFile = None,
    as_of: EvaluatedAt = None,
) -> None:
    """Print the daily checks of option chains as JSON.

    Each is PASS, FAIL, or PENDING until open interest came. Coverage of the slots, data types, rows
    of the day by origin, counts against the slots, open interest, flags; groups of symbols,
    exceptions in the day's log, room on the disk, sizes of compacted files, and whether archive and
    retention keep up. The same goes to a file. Exits 5 where a check fails, and where a session has
    no row.

    Example: quotemill selfcheck ib --date 2026-11-25
    """
    if source != "ib":
        raise UsageError(f"selfcheck is not available for {source}", hint="quotemill selfcheck ib")
    _check("selfcheck", date, write, as_of)


def day_command(
    date: Session = None, write: SelfcheckFile = None, as_of: EvaluatedAt = None
) -> None:
    """Print the daily checks of option chains: `quotemill selfcheck ib`.

    Example: quotemill options selfcheck --date yesterday
    """
    _check("selfcheck", date, write, as_of)


def qa_command(
    date: Session = None,
    write: Annotated[
        Path | None,
        typer.Option(
            help="Write them to this file; logs/metrics/metrics_20261125.json of the home else."
        ),
    ] = None,
    as_of: EvaluatedAt = None,
) -> None:
    """Print and write the figures of a session by symbol, those of qa.qa_option_day.

    Coverage, delayed data, fallback of the day's rows, lag, open interest, integrity, each with
    PASS, FAIL or PENDING, as `quotemill selfcheck ib` has them. Exits 5 where one fails, and where
    a session has no row.

    Example: quotemill options qa --date yesterday
    """
    _check("metrics", date, write, as_of)


def parse_session(
    settings: Settings, text: str | None, as_of: dt.datetime | None
) -> dt.date | None:
    """A session by its day; its words by the clock of the loads. Raises UsageError.

    Ends the command where today has none.
    """
    if text is None:
        return None
    if as_of is None and text in DAY_WORDS:
        as_of = sources.find("ib").requests.now(settings)
    try:
        return parse_session_day(text, date_in_new_york(as_of or dt.datetime.now(dt.UTC)))
    except NotDue as reason:
        print(reason, file=sys.stderr)
        raise typer.Exit from None


def _check(kind: str, date: str | None, file: Path | None, as_of: str | None) -> None:
    """Print a check and write it to its file. Raises DataQualityError where it fails."""
    from orchestration.checks import selfcheck
    from orchestration.checks.result_file import name_file, write_result
    from orchestration.run.metrics import measure_command

    settings = load_settings()
    shell.start_logs(settings)
    warehouse = require_warehouse(settings)
    with measure_command(settings, "selfcheck", "ib") as figures:
        at = shell.parse_time(as_of)
        result = selfcheck.run(warehouse, parse_session(settings, date, at), at, settings)
        if kind == "metrics":
            result = result.keep_figures()
        figures |= {
            f"{word.lower()}_checks": sum(
                selfcheck.WORDS[check.verdict] == word for check in result.checks
            )
            for word in (selfcheck.PASS, selfcheck.FAIL, selfcheck.PENDING)
        }
        figures["flagged_rows"] = sum(result.flags.values())
        shell.print_json(result.as_json())
        if file is None and result.trade_date is not None:
            file = name_file(settings.home, kind, kind, result.trade_date)
        if file is not None:
            write_result(file, result.as_json())
        if result.status == selfcheck.FAIL:
            failed = sorted({f"{c.subject} {c.name}".strip() for c in result.failed})
            raise DataQualityError(
                f"{result.trade_date or 'option chains'}: {', '.join(failed) or 'no row'}",
                hint="quotemill findings",
            )
