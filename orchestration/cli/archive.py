"""`quotemill archive`: closed days of option chains to Parquet."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.errors import UsageError
from loaders.settings import Settings, load_settings
from loaders.warehouse.postgres import Warehouse, find_warehouse

if TYPE_CHECKING:  # its module imports pyarrow
    from orchestration.archive.run import ArchiveResult

AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="Judge what is closed, and what is old, at this instant."),
]
Symbols = Annotated[
    str | None, typer.Option(help="Only these underlyings: AAPL,BRK_B; _ stands for a blank.")
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
            help="Compact all that is archived, or nothing; by default what the settings say.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Read every file of the archive and compare it with its record."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell how many partitions would be looked at.")
    ] = False,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Write closed days of option chains to Parquet, an underlying and day each, and compact older ones.

    A day is closed when it is over and was judged, open interest included. What stands and did not change is
    not written again. Leaves with 5 where a file is damaged, or the warehouse has fewer rows than the archive.

    Example: quotemill archive --since 2026-11-01 --symbols AAPL
    """
    from loaders.cli.progress import reporter
    from orchestration.archive.run import Request, archive

    settings = load_settings()
    request = Request(
        tuple(view or ()),
        shell.parse_day(since),
        shell.parse_day(until),
        chosen(symbols),
        compact,
        check,
        dry_run,
    )
    warehouse = warehouse_of(settings)
    with reporter() as shown:
        result = archive(settings, warehouse, request, shown, instant(as_of))
    if json:
        shell.print_json(result.as_json())
    else:
        _print(result)
    raise typer.Exit(result.exit_code)


def _print(result: "ArchiveResult") -> None:
    if result.dry_run:
        for name, count in result.planned.items():
            print(f"{name}: {count:,} to look at")
    else:
        size = result.bytes / 1e6
        print(f"{result.files:,} files, {result.rows:,} rows, {size:,.1f} MB in {result.folder}")
        print(f"{result.unchanged:,} unchanged")
    for one in result.compacted:
        small = f", {one.below_target} below target" if one.below_target else ""
        print(
            f"{one.view} {one.month}: {one.files_before:,} files, {one.bytes_before / 1e6:,.1f} MB "
            f"-> {one.files_after:,}, {one.bytes_after / 1e6:,.1f} MB{small}"
        )
    tell("waiting, not judged yet", list(map(str, result.waiting)))
    tell("left, fewer rows than archived", result.narrower)
    tell("refused", result.refused)
    tell("damaged", result.damaged)


def tell(what: str, lines: Sequence[str]) -> None:
    """The first lines of a kind, and how many more there are."""
    for line in lines[:SHOWN]:
        print(f"{what}: {line}")
    if len(lines) > SHOWN:
        print(f"{what}: {len(lines) - SHOWN:,} more")


def chosen(symbols: str | None) -> tuple[str, ...] | None:
    """Underlyings by the names that `loaders run ib --symbols` takes. Raises UsageError for none."""
    if symbols is None:
        return None
    found = tuple(s.strip().replace("_", " ") for s in symbols.split(",") if s.strip())
    if not found:
        raise UsageError("no symbol is given")
    return found


def instant(as_of: str | None) -> datetime:
    return shell.parse_instant(as_of) or datetime.now(UTC)


def day(text: str) -> date:
    found = shell.parse_day(text)
    assert found is not None
    return found


def warehouse_of(settings: Settings) -> Warehouse:
    """Brought to what this version needs. Raises UsageError where nothing was loaded yet."""
    from loaders.engine import load
    from orchestration import build

    if find_warehouse(settings) is None:
        raise UsageError("nothing was loaded yet", hint="quotemill run ib")
    return load.prepare_warehouse(settings, build.stderr)
