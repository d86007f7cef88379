"""`quotemill ticks`: old ticks in files in place of the tick store."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import AsOf, JsonFlag
from loaders.settings import load_settings
from loaders.trading_time import SHANGHAI
from loaders.warehouse.postgres import require_warehouse
from orchestration.cli.archive import parse_days, parse_time, print_lines

if TYPE_CHECKING:
    from loaders.engine.request import LoadRequest
    from loaders.engine.result import LoadResult
    from loaders.settings import Settings
    from loaders.tq.tick_archive.archive import Load, TickArchive
    from loaders.tq.tick_archive.restore import RestoredTicks

app = typer.Typer(
    help="Move old ticks of futures to Parquet files, and back.",
    no_args_is_help=True,
)


@app.command()
def archive(
    older_than: Annotated[
        int, typer.Option(min=7, metavar="DAYS", help="Trading days of more than so many days ago.")
    ] = 60,
    short: Annotated[
        bool,
        typer.Option("--short", help="Short days too, once they are on record as such."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would go, and write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Move old trading days from the tick store to Parquet files in tq.archive_folder.

    A file is compressed, on disk and read back before its ticks leave the store. A trading day goes
    once all its series are complete, or on record as without ticks, and their minutes are made;
    others are named, with exit code 6. A day whose ticks are not those of the index is damaged and
    stays: exit code 5. Asks first on a terminal. Running again finishes what was killed. Takes the
    lock of loads of ticks (exit code 75 while one runs).

    Example: quotemill ticks archive --older-than 60 --dry-run
    """
    from loaders.cli.progress import reporter
    from loaders.tq.tick_archive.archive import archive_ticks

    settings, at = _settings(), parse_time(as_of, SHANGHAI)
    if not (yes or dry_run) and sys.stdin.isatty():
        days = f"more than {older_than} days ago"
        typer.confirm(f"Move ticks of {days} to files?", abort=True, err=True)
    with reporter() as progress:
        from loaders import loads

        warehouse = loads.prepare_warehouse(settings, progress)
        result = archive_ticks(
            settings,
            warehouse,
            _load(settings, at),
            progress,
            as_of=at,
            older_than=older_than,
            short=short,
            dry_run=dry_run,
        )
    shell.print_answer(result.as_json(), json, lambda: _print(result))
    raise typer.Exit(result.exit_code)


@app.command()
def restore(
    date: Annotated[str | None, typer.Option("--date", help="The trading day to restore.")] = None,
    since: Annotated[str | None, typer.Option(help="Or all days from this one on.")] = None,
    until: Annotated[str | None, typer.Option(help="And up to this one.")] = None,
    codes: Annotated[str | None, typer.Option(help="Only these varieties: SHFE.cu,DCE.i.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and compare, and write nothing.")
    ] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Bring archived trading days back to the tick store, compared with the index.

    The files stay, and the next archive takes the days out again. A damaged file is named, its days
    stay archived, and the exit code is 5. Running again is safe.

    Example: quotemill ticks restore --since 2025-11-01 --until 2025-11-30
    """
    from loaders.cli.progress import reporter
    from loaders.tq.tick_archive.restore import restore_ticks

    at = parse_time(as_of, SHANGHAI)
    first, last = parse_days(date, since, until, SHANGHAI, at)
    settings = _settings()
    with reporter() as progress:
        from loaders import loads

        warehouse = loads.prepare_warehouse(settings, progress)
        result = restore_ticks(
            settings,
            warehouse,
            _load(settings, at),
            progress,
            since=first,
            until=last,
            as_of=at,
            varieties=[name.strip() for name in codes.split(",")] if codes else (),
            dry_run=dry_run,
        )
    shell.print_answer(result.as_json(), json, lambda: _print_restored(result))
    raise typer.Exit(result.exit_code)


def _settings() -> "Settings":
    settings = load_settings()
    shell.start_logs(settings)
    require_warehouse(settings)
    return settings


def _load(settings: "Settings", at: datetime) -> "Load":
    from loaders import loads
    from loaders.cli.progress import reporter

    def load(request: "LoadRequest") -> "LoadResult":
        return loads.load_with_progress(settings, request, reporter, as_of=at)

    return load


def _print(result: "TickArchive") -> None:
    verb = "would be archived" if result.dry_run else "archived"
    print(
        f"{result.days:,} trading days before {result.before}, {result.contract_days:,} days of "
        f"series, {result.ticks:,} ticks {verb}"
    )
    if result.ticks and not result.dry_run:
        size = f"{result.bytes / 1e6:,.1f} MB, {result.bytes / result.ticks:.1f} bytes a tick"
        print(f"{size}, in {result.folder}")
    for what, lines in (
        ("stays", result.held),
        ("partition that stays", result.waiting),
        ("damaged", result.damaged),
    ):
        print_lines(what, [f"{name}: {why}" for name, why in lines.items()])


def _print_restored(result: "RestoredTicks") -> None:
    verb = "would come back" if result.dry_run else "came back"
    print(f"{result.days:,} days of series, {result.ticks:,} ticks {verb}")
    print_lines("damaged", [f"{key}: {why}" for key, why in result.damaged.items()])
