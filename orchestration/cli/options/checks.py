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
        help="Session: 2026-11-25, today or yesterday (the session before today's).",
        show_default="newest finished session",
    ),
]
SelfcheckFile = Annotated[
    Path | None,
    typer.Option(
        help="File to write.", show_default="logs/selfcheck/selfcheck_20261125.json in the home"
    ),
]


def selfcheck_command(
    source: Annotated[str, typer.Argument(help="Source: ib.")],
    date: Session = None,
    write: SelfcheckFile = None,
    as_of: EvaluatedAt = None,
) -> None:
    """Print the daily option-chain checks as JSON.

    Each is PASS, FAIL, or PENDING until open interest has arrived. They cover slots, data types,
    row origins and counts, open interest, flags, symbol groups, log exceptions, disk space,
    archive and retention. The result is also written to a file. Exits with 5 if a
    check fails or the session has no rows.

    Example: quotemill selfcheck ib --date 2026-11-25
    """
    if source != "ib":
        raise UsageError(
            f"selfcheck is not available for {source}", hint="Run `quotemill selfcheck ib`."
        )
    _check("selfcheck", date, write, as_of)


def day_command(
    date: Session = None, write: SelfcheckFile = None, as_of: EvaluatedAt = None
) -> None:
    """Print the daily option-chain checks: `quotemill selfcheck ib`.

    Example: quotemill options selfcheck --date yesterday
    """
    _check("selfcheck", date, write, as_of)


def qa_command(
    date: Session = None,
    write: Annotated[
        Path | None,
        typer.Option(
            help="File to write.", show_default="logs/metrics/metrics_20261125.json in the home"
        ),
    ] = None,
    as_of: EvaluatedAt = None,
) -> None:
    """Print and write a session's metrics by symbol, from qa.qa_option_day.

    They are coverage, delayed data, fallback rows, lag, open interest and integrity, each with
    PASS, FAIL or PENDING as in `quotemill selfcheck ib`. Exits with 5 if a check fails or the
    session has no rows.

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
                f"{result.trade_date or 'option chains'}: {', '.join(failed) or 'no rows'}",
                hint="Run `quotemill findings` to see the details.",
            )
