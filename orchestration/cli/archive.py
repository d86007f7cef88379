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
from quotemill.warehouse.postgres import Warehouse

if TYPE_CHECKING:  # its module imports pyarrow
    from orchestration.archive.restore import RestoreResult
    from orchestration.archive.retention import RetentionResult
    from orchestration.archive.write import ArchiveResult

AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="Decide what is closed and old as of this time (UTC)."),
]
Symbols = Annotated[
    str | None, typer.Option(help="Only these underlyings: AAPL,BRK_B; _ stands for a space.")
]
SHOWN = 20  # lines of one kind


def archive_command(
    view: Annotated[
        list[str] | None,
        typer.Option(help="Only this view; may be repeated: chain_intraday, chain_daily_clean, …"),
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only days from this one on.")] = None,
    until: Annotated[str | None, typer.Option(help="Only days up to this one.")] = None,
    symbols: Symbols = None,
    compact: Annotated[
        bool | None,
        typer.Option(
            "--compact/--no-compact",
            help="Compact all that is archived, or nothing; by default as the settings say.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Read every file of the archive, compare it with its record, and list files "
            "without month.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print how many partitions would be checked.")
    ] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Write closed days of option chains to Parquet files.

    One per underlying and day. A day is closed when it is over and has all its verdicts, open
    interest included. Unchanged days are not written again; old files are compacted. Exit code 5
    where a file is damaged, or where the warehouse has fewer rows than the archive.

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
        bool, typer.Option("--dry-run", help="Check everything, files too, and delete nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Drop without asking.")] = False,
    older_than: Annotated[
        int | None,
        typer.Option(min=1, metavar="DAYS", help="This time, instead of ib.intraday_retain_days."),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            help="Only this: intraday (the slots), errors (the logs), ticks (of futures); all if "
            "absent."
        ),
    ] = None,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Delete archived slots, old logs and old days; pack old ticks.

    Slots go after ib.intraday_retain_days, or --older-than, once their files were read again and
    match the warehouse; logs go after log_days, or with --view errors after --older-than; days of
    a table of the dbt project whose settings have `retain` go after that, once they were built.
    What was built of them stays. Ticks in QuestDB become Parquet, read like before in a tenth of
    the bytes, after ib.intraday_retain_days too, once they match the index; --view ticks does just
    this. Asks first on a terminal. Exit code 6 where old days stay: changed since, not built; 5
    where a file or a day of ticks is damaged.

    Example: quotemill retention --dry-run
    """
    from loaders.cli.progress import reporter
    from orchestration.archive.housekeeping import run_retention
    from orchestration.archive.retention import ERRORS, TICKS, VIEWS

    if view not in (None, *VIEWS):
        raise UsageError(f"--view {view}: unknown", hint=f"one of {', '.join(VIEWS)}")
    settings = load_settings()
    shell.start_logs(settings)
    warehouse = prepare_warehouse(settings)
    if not (yes or dry_run) and sys.stdin.isatty():
        slots = f"archived slots of more than {older_than or settings.ib.intraday_retain_days} "
        what = "old logs" if view == ERRORS else f"{slots}days ago"
        what += ", old logs and days by `retain`" if view is None else ""
        if view != TICKS:  # which stay
            typer.confirm(f"Drop {what}?", abort=True, err=True)
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
        str, typer.Argument(help="chain_intraday or open_interest: what was landed.")
    ] = "chain_intraday",
    date: Annotated[str | None, typer.Option(help="The day to restore.")] = None,
    since: Annotated[str | None, typer.Option(help="Or all days from this one on.")] = None,
    until: Annotated[str | None, typer.Option(help="And up to this one.")] = None,
    symbols: Symbols = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and compare, and write nothing.")
    ] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Restore archived days of option chains to the warehouse.

    From single or compacted files. Rows of the warehouse stay; an underlying and day with other
    rows than the archive is skipped, with exit code 5, as for a damaged file. `quotemill build`
    reads the restored rows.

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
    print_lines("left, fewer rows than archived", result.narrower)
    print_lines("refused", result.refused)
    print_lines("damaged", result.damaged)
    print_lines("unknown file", result.unknown)


def _print_retention(result: "RetentionResult") -> None:
    verb = "would be dropped" if result.dry_run else "dropped"
    days = len(result.dropped)
    print(f"{result.rows:,} rows of {days:,} days before {result.before} {verb}")
    print(f"{len(result.logs):,} logs, {result.logs_bytes / 1e6:,.1f} MB {verb}")
    print(f"{result.log_lines:,} lines of loads' logs {verb}")
    if result.ticks is not None:
        packing = "would be packed" if result.dry_run else "packed"
        print(f"{result.ticks:,} ticks in {result.tick_partitions:,} partitions {packing}")
    for table, before in result.old_days.items():
        print(f"days of {table} before {before} {verb}")
    if result.restored:
        print(f"{result.restored:,} restored partitions stay")
    print_lines("kept", result.remaining)
    print_lines("damaged", result.damaged)


def _print_restored(result: "RestoreResult") -> None:
    verb = "would come back" if result.dry_run else "came back"
    print(f"{result.view}: {result.partitions:,} partitions, {result.rows:,} rows {verb}")
    print(f"{result.standing:,} partitions are as archived")
    print_lines("left, other rows", result.other)
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
        raise UsageError("--symbols must not be empty")
    return names


def parse_time(as_of: str | None, zone: tzinfo = UTC) -> datetime:
    return shell.parse_time(as_of, zone) or datetime.now(UTC)


def parse_days(
    day: str | None, since: str | None, until: str | None, zone: tzinfo, as_of: datetime
) -> tuple[date, date]:
    """First and last day of a restore, by its options. Raises UsageError."""
    first = shell.parse_day(day or since, zone, as_of)
    if first is None or (day and since) or (until and not since):
        raise UsageError("no days given", hint="--date 2026-11-24, or --since with --until")
    last = first if day else shell.parse_day(until, zone, as_of) or date.max
    if last < first:
        raise UsageError(f"{last} is before {first}")
    return first, last


def prepare_warehouse(settings: Settings) -> Warehouse:
    """The warehouse in the state of this version. Raises SettingsError before the first load."""
    from loaders import loads
    from orchestration.run import build

    require_warehouse(settings)
    return loads.prepare_warehouse(settings, build.stderr)
