"""`quotemill export`: tables and queries as files for other programs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings
from loaders.warehouse.postgres import require_current_warehouse
from orchestration.cli.archive import prepare_warehouse
from quotemill.errors import UsageError

if TYPE_CHECKING:  # its module imports pyarrow
    from collections.abc import Sequence

    from orchestration.exports.compat.views import View
    from orchestration.exports.write import ExportResult


class _TableFirst(TyperGroup):
    """Takes a first word that is no command as a table: `export TABLE`, `export rows TABLE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = ["rows", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_TableFirst, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Export tables and queries to Parquet, CSV or qlib.

    `quotemill export TABLE --to parquet|csv|qlib DIR` writes a table. See
    `quotemill export rows --help` for its options.

    Example: quotemill export kline_daily --adjust qfq --to parquet exports/bars
    """


@app.command()
def rows(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE|QUERY",
            help="Table (kline_daily, options.chain_daily_clean) or SQL query.",
        ),
    ],
    folder: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="Empty folder, or a folder with an earlier export of this."
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="FORM", help="Format: parquet, csv or qlib.")],
    codes: Annotated[
        str | None,
        typer.Option(
            help="Only these codes (600000,000001.SZ), symbols or products.", show_default="all"
        ),
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only days from this one on.")] = None,
    adjust: Annotated[
        str, typer.Option(help="Adjustment of bars: none, qfq (forward) or hfq (backward).")
    ] = "none",
    exact: Annotated[bool, typer.Option(help="Write exact decimals (--no-exact: doubles).")] = True,
    json: JsonFlag = False,
) -> None:
    """Write a table or a query to a folder. You can leave out the word `rows`.

    Parquet has a file per month (kline_daily/month=2024-01/part-0.parquet), CSV a file per code
    (kline_daily/sh600000.csv). qlib, for kline_daily, writes a folder for
    qlib.init(provider_uri=DIR). All rows come from one snapshot. manifest.json, written last, lists
    each file's rows and SHA-256. A second export into the folder writes only changed files.

    Example: quotemill export rows kline_daily --adjust qfq --to parquet bars
    """
    from loaders.cli.progress import reporter
    from orchestration.exports.definition import Definition
    from orchestration.exports.write import export

    if "://" in folder:
        raise UsageError(
            f"not a folder on this machine: {folder}",
            hint="Export to a local folder, then copy it with `rclone sync` or `aws s3 sync`.",
        )
    chosen = tuple(codes.replace(",", " ").split()) if codes is not None else ()
    if codes is not None and not chosen:
        raise UsageError("--codes has no code", hint="Give codes such as 600000,000001.SZ.")
    wanted = Definition(table, to, chosen, shell.parse_day(since), adjust, exact)
    settings = load_settings()
    shell.start_logs(settings)
    warehouse, now = require_current_warehouse(settings), datetime.now(UTC)
    with reporter() as shown:
        result = export(warehouse, wanted, Path(folder), shown, now)
    shell.print_answer(vars(result), json, lambda: _print(result))


@app.command()
def views(
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="Program that reads them: vnpy or optopsy.")
    ],
    adjust: Annotated[
        str, typer.Option(help="Adjustment of stock bars: none, qfq (forward) or hfq (backward).")
    ] = "none",
    drop: Annotated[bool, typer.Option("--drop", help="Drop the views instead.")] = False,
    json: JsonFlag = False,
) -> None:
    """Create views for another program in schema `compat`.

    They store no rows, so they always show the newest loads and builds. Views whose tables are not
    built yet are left out. Run the command again after their first build.

    Example: quotemill export views vnpy --adjust qfq
    """
    from orchestration.exports.compat.views import drop_views, make_views

    settings = load_settings()
    shell.start_logs(settings)
    warehouse = prepare_warehouse(settings)
    if drop:
        dropped = drop_views(warehouse, program)
        answer = {"dropped": dropped}
        shell.print_answer(answer, json, lambda: print(f"dropped: {', '.join(dropped) or 'none'}"))
        return
    made = make_views(warehouse, program, adjust)
    shell.print_answer([vars(view) for view in made], json, lambda: _print_views(made))


def _print_views(views: "Sequence[View]") -> None:
    for view in views:
        if view.reads:
            print(f"{view.name} reads {', '.join(view.reads)}")
        else:
            print(f"{view.name} is not created")
        if view.unbuilt:
            print(f"  not built yet: {', '.join(view.unbuilt)}")


def _print(result: "ExportResult") -> None:
    size = f"{result.bytes / 1e6:,.1f} MB"
    print(f"{result.rows:,} rows in {result.files:,} files, {size}, in {result.folder}")
    removed = f", {result.removed:,} files removed" if result.removed else ""
    print(f"{result.written:,} parts written, {result.unchanged:,} unchanged{removed}")
