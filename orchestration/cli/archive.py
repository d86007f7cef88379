"""`quotemill archive`, `retention` and `restore`: the storage life cycle of option chains."""

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from loaders import log as runlog
from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.ib.slots import NEW_YORK
from loaders.settings import Settings, load_settings
from loaders.warehouse.postgres import require_warehouse
from orchestration.run.metrics import measure_command
from quotemill.codes import read_us_symbol
from quotemill.errors import UsageError
from quotemill.readers.listed import require_known
from quotemill.warehouse.postgres import Warehouse

if TYPE_CHECKING:  # its module imports pyarrow
    from orchestration.archive.restore import RestoreResult
    from orchestration.archive.retention import RetentionResult
    from orchestration.archive.write import ArchiveResult

AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="Decide what is complete and old as of this time (UTC)."),
]
Symbols = Annotated[
    str | None, typer.Option(help="Only these underlyings: AAPL,BRK_B (_ for a space).")
]
SHOWN = 20  # lines of one kind


def archive_command(
    view: Annotated[
        list[str] | None,
        typer.Option(
            help="Archive only this view: chain_intraday, chain_daily_clean, … Can be repeated.",
            show_default="all",
        ),
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only days from this one on.")] = None,
    until: Annotated[
        str | None, typer.Option(help="Only days up to and including this one.")
    ] = None,
    symbols: Symbols = None,
    compact: Annotated[
        bool | None,
        typer.Option(
            "--compact/--no-compact",
            help="Compact the whole archive, or nothing.",
            show_default="as configured",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Verify every archived file against its record, and list files without a month.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print only the number of partitions to check.")
    ] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Archive completed option days as Parquet files.

    Writes a file per underlying and day. A day is complete when it is over and has all its
    verdicts, open interest included. Unchanged days are not written again, and old files are
    compacted. Exits with 5 if a file is damaged, or if the warehouse has fewer rows than the
    archive.

    Example: quotemill archive --since 2026-11-01 --symbols AAPL
    """
    from loaders.cli.progress import reporter
    from orchestration.archive.write import Request, archive

    settings, at = load_settings(), parse_time(as_of)
    shell.start_logs(settings)
    require_warehouse(settings)
    request = Request(
        tuple(view or ()),
        shell.parse_day(since, NEW_YORK, at),
        shell.parse_day(until, NEW_YORK, at),
        parse_symbols(symbols),
        compact,
        check,
        dry_run,
    )
    with measure_command(settings, "archive", "ib") as figures:
        warehouse = prepare_warehouse(settings)
        with reporter() as shown:
            result = archive(settings, warehouse, request, shown, at)
        wrong = (result.narrower, result.damaged, result.refused, result.unknown)
        figures |= {
            "files": result.files,
            "rows_archived": result.rows,
            "bytes": result.bytes,
            "compacted_files": sum(month.files_before for month in result.compacted),
            "failed_partitions": sum(map(len, wrong)),
        }
        log("error", "damaged", result.damaged)
        log("warning", "fewer rows than archived", result.narrower)
        log("error", "unknown file", result.unknown)
        log("error", "refused", result.refused)
        shell.print_answer(result.as_json(), json, lambda: _print(result))
        raise typer.Exit(result.exit_code)


def retention_command(
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything, files included, and delete nothing."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    older_than: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="DAYS",
            help="Days to keep (overrides ib.intraday_retain_days, or log_days for errors).",
        ),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            help="Only intraday (slots), errors (logs) or ticks (futures).", show_default="all"
        ),
    ] = None,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Delete archived slots, old logs and days, and pack old ticks.

    Deletes slots after ib.intraday_retain_days, once their files match the warehouse, logs after
    log_days, and days of a table after its `retain`. Built rows are kept. Old QuestDB ticks become
    Parquet, which you can still read. Asks first at a terminal. Exits with 6 if old days are kept,
    and with 5 if a file or tick day is damaged.

    Example: quotemill retention --dry-run
    """
    from loaders.cli.progress import reporter
    from orchestration.archive.housekeeping import run_retention
    from orchestration.archive.retention import ERRORS, TICKS, VIEWS

    if view is not None:
        require_known("--view", [view], VIEWS)
    settings = load_settings()
    shell.start_logs(settings)
    warehouse = prepare_warehouse(settings)
    if not (yes or dry_run) and sys.stdin.isatty():
        days = older_than or settings.ib.intraday_retain_days
        what = "old logs" if view == ERRORS else f"archived slots older than {days} days"
        what += ", old logs and days past their `retain`" if view is None else ""
        if view != TICKS:  # which stay
            typer.confirm(f"Delete {what}?", abort=True, err=True)
    with measure_command(settings, "retention", "ib") as figures:
        with reporter() as shown:
            result = run_retention(
                settings,
                warehouse,
                shown,
                parse_time(as_of),
                dry_run=dry_run,
                older_than=older_than,
                view=view,
            )
        figures |= {
            "rows_dropped": 0 if dry_run else result.rows,
            "kept_partitions": len(result.remaining),
            "damaged_files": len(result.damaged),
        }
        log("error", "damaged", result.damaged)
        log("warning", "kept", result.remaining)
        shell.print_answer(result.as_json(), json, lambda: _print_retention(result))
        if result.failure is not None:
            shell.print_error(result.failure)
        raise typer.Exit(result.exit_code)


def restore_command(
    view: Annotated[
        str, typer.Argument(help="Landed view: chain_intraday or open_interest.")
    ] = "chain_intraday",
    date: Annotated[str | None, typer.Option(help="Day to restore.")] = None,
    since: Annotated[str | None, typer.Option(help="Restore all days from this one on.")] = None,
    until: Annotated[
        str | None, typer.Option(help="With --since: up to and including this day.")
    ] = None,
    symbols: Symbols = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and compare without writing.")
    ] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Restore archived option days to the warehouse.

    Warehouse rows are kept: if an underlying's day differs from the archive, it is skipped. Exits
    with 5 if a day was skipped or a file is damaged. Run `quotemill build` afterwards to build the
    restored rows.

    Example: quotemill restore chain_intraday --date 2026-11-24 --symbols AAPL
    """
    from loaders.cli.progress import reporter
    from orchestration.archive.restore import Request, restore

    at = parse_time(as_of)
    first, last = parse_days(date, since, until, NEW_YORK, at)
    settings = load_settings()
    shell.start_logs(settings)
    request = Request(view, first, last, parse_symbols(symbols), dry_run)
    warehouse = prepare_warehouse(settings)
    with reporter() as shown:
        result = restore(settings, warehouse, request, shown, at)
    log("error", "damaged", result.damaged)
    log("warning", "other rows", result.other)
    shell.print_answer(result.as_json(), json, lambda: _print_restored(result))
    raise typer.Exit(result.exit_code)


def _print(result: "ArchiveResult") -> None:
    if result.dry_run:
        for name, count in result.planned.items():
            print(f"{name}: {count:,} to compare")
    else:
        size = result.bytes / 1e6
        print(f"{result.files:,} files, {result.rows:,} rows, {size:,.1f} MB in {result.folder}")
        print(f"{result.unchanged:,} unchanged")
    for month in result.compacted:
        small = f", {month.below_target} below target" if month.below_target else ""
        print(
            f"{month.view} {month.month}: "
            f"{month.files_before:,} files, {month.bytes_before / 1e6:,.1f} MB "
            f"-> {month.files_after:,}, {month.bytes_after / 1e6:,.1f} MB{small}"
        )
    print_lines("waiting, no verdict yet", list(map(str, result.waiting)))
    print_lines("skipped, fewer rows than archived", result.narrower)
    print_lines("refused", result.refused)
    print_lines("damaged", result.damaged)
    print_lines("unknown file", result.unknown)


def _print_retention(result: "RetentionResult") -> None:
    verb = "would be deleted" if result.dry_run else "deleted"
    days = len(result.dropped)
    print(f"{result.rows:,} rows from {days:,} days before {result.before} {verb}")
    print(f"{len(result.logs):,} logs, {result.logs_bytes / 1e6:,.1f} MB {verb}")
    print(f"{result.log_lines:,} load log lines {verb}")
    if result.ticks is not None:
        packing = "would be packed" if result.dry_run else "packed"
        print(f"{result.ticks:,} ticks in {result.tick_partitions:,} partitions {packing}")
    for table, before in result.old_days.items():
        print(f"days of {table} before {before} {verb}")
    if result.restored:
        print(f"{result.restored:,} restored partitions kept")
    print_lines("kept", result.remaining)
    print_lines("damaged", result.damaged)


def _print_restored(result: "RestoreResult") -> None:
    verb = "would be restored" if result.dry_run else "restored"
    print(f"{result.view}: {result.partitions:,} partitions, {result.rows:,} rows {verb}")
    print(f"{result.standing:,} partitions already match the archive")
    print_lines("skipped, differs from the archive", result.other)
    print_lines("damaged", result.damaged)


def print_lines(what: str, lines: Sequence[str]) -> None:
    """Print the first lines of a kind, and how many more follow."""
    for line in lines[:SHOWN]:
        print(f"{what}: {line}")
    if len(lines) > SHOWN:
        print(f"{what}: {len(lines) - SHOWN:,} more")


def log(level: str, what: str, lines: Sequence[str]) -> None:
    """Log a line of a kind."""
    if lines:
        detail = {"count": len(lines), "lines": list(lines[:SHOWN])}
        runlog.write(level, f"{what}: {lines[0]}", source="ib", detail=detail)


def parse_symbols(symbols: str | None) -> tuple[str, ...] | None:
    """Underlyings by the names that `loaders run ib --symbols` takes. Raises UsageError."""
    if symbols is None:
        return None
    names = tuple(read_us_symbol(s.upper()) for s in symbols.split(",") if s.strip())
    if not names:
        raise UsageError("--symbols is empty", hint="Give symbols such as AAPL,BRK_B.")
    return names


def parse_time(as_of: str | None, zone: tzinfo = UTC) -> datetime:
    return shell.parse_time(as_of, zone) or datetime.now(UTC)


def parse_days(
    day: str | None, since: str | None, until: str | None, zone: tzinfo, as_of: datetime
) -> tuple[date, date]:
    """First and last day of a restore, by its options. Raises UsageError."""
    first = shell.parse_day(day or since, zone, as_of)
    if first is None or (day and since) or (until and not since):
        raise UsageError("no days given", hint="Give --date 2026-11-24, or --since with --until.")
    last = first if day else shell.parse_day(until, zone, as_of) or date.max
    if last < first:
        raise UsageError(f"--until {last} is before --since {first}")
    return first, last


def prepare_warehouse(settings: Settings) -> Warehouse:
    """The warehouse in the state of this version. Raises SettingsError before the first load."""
    from loaders import loads
    from orchestration.run import build

    require_warehouse(settings)
    return loads.prepare_warehouse(settings, build.stderr)
