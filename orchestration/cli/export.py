"""`quotemill export`: tables and queries as files of other programs."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings
from orchestration.cli.archive import prepare_warehouse
from quotemill.errors import PartialError, UsageError

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
    """Write tables and queries as files of other programs.

    quotemill export TABLE --to parquet|csv|qlib|excel|duckdb|sqlite DIR writes a table; see
    `quotemill export rows --help`.

    Example: quotemill export kline_daily --adjust qfq --to parquet exports/bars
    """


@app.command()
def rows(
    table: Annotated[
        str | None,
        typer.Argument(
            metavar="TABLE|QUERY", help="kline_daily, options.chain_daily_clean, or a query."
        ),
    ] = None,
    folder: Annotated[
        str | None, typer.Argument(metavar="DIR", help="An empty folder, or its own; s3://b/bars.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="FORM", help="parquet, csv, qlib, excel, duckdb or sqlite."),
    ] = None,
    codes: Annotated[
        str | None, typer.Option(help="Only these codes: 600000,000001.SZ; or symbols, varieties.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only days from this one on.")] = None,
    adjust: Annotated[
        str, typer.Option(help="Of bars: none, qfq (forward) or hfq (backward).")
    ] = "none",
    exact: Annotated[
        bool, typer.Option(help="Decimals in Parquet, CSV and DuckDB; --no-exact: doubles.")
    ] = True,
    follow: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Keep it fresh under a name; alone: refresh that one."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Write a table or a query to a folder, as of one moment. The word `rows` may be left out.

    Parquet: a file per month, kline_daily/month=2024-01/part-0.parquet. CSV: a file per code,
    kline_daily/sh600000.csv. qlib, of kline_daily: the folder that qlib.init(provider_uri=DIR)
    takes. Excel: one sheet. DuckDB, SQLite: one file with a table. manifest.json, with rows and
    SHA-256 of each file, is written last. Running it again takes up what was killed. A folder with
    other files is refused. DIR may be an address of S3, whose keys the environment has.

    With --follow the schedule runs it each evening, and writes only files whose rows changed.
    `quotemill export --follow NAME` does so at once.

    Example: quotemill export rows kline_daily --to parquet bars --follow bars_qfq
    """
    from loaders.cli.progress import reporter
    from orchestration.exports.definition import Definition
    from orchestration.exports.write import export, export_again

    given = (table, folder, to)
    wanted = None
    if table is not None and folder is not None and to is not None:
        chosen = tuple(codes.replace(",", " ").split()) if codes is not None else ()
        if codes is not None and not chosen:
            raise UsageError("no code is given")
        wanted = Definition(table, to, chosen, shell.parse_day(since), adjust, exact)
    elif follow is None or any((*given, codes, since)):
        raise UsageError(
            "an export needs a table, a folder and --to",
            hint="quotemill export kline_daily --to parquet bars; or --follow NAME alone",
        )
    settings = load_settings()
    shell.start_logs(settings)
    warehouse, now = prepare_warehouse(settings), datetime.now(UTC)
    with reporter() as shown:
        if wanted is not None and folder is not None:
            result = export(warehouse, wanted, folder, shown, now, name=follow)
        else:
            assert follow is not None
            result = export_again(warehouse, follow, shown, now)
    shell.print_answer(vars(result), json, lambda: _print(result))


@app.command("list")
def list_command(json: JsonFlag = False) -> None:
    """Show the exports that follow: their folders, rows, and whether they are behind.

    State: current; behind, what they hold has changed since; unfinished, killed; damaged, files
    are away or of another size; missing, the folder is away; wrong. Exit code 6 where one is
    damaged, missing or wrong.

    Example: quotemill export list --json
    """
    from orchestration.exports.followed import describe_all

    exports = describe_all(prepare_warehouse(load_settings()))
    shell.print_answer(exports, json, lambda: _print_list(exports))
    if any(export["state"] in ("damaged", "missing", "wrong") for export in exports):
        raise typer.Exit(PartialError.exit_code)


@app.command()
def forget(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `export list` shows it.")],
) -> None:
    """Follow an export no more, and take its job from the schedule. Its files stay.

    Example: quotemill export forget bars_qfq
    """
    from orchestration.exports.followed import forget

    settings = load_settings()
    gone = forget(prepare_warehouse(settings), name)
    print(f"{name} is followed no more; its files stay in {gone.folder}", file=sys.stderr)


@app.command()
def views(
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="Who reads them: vnpy or optopsy.")
    ],
    adjust: Annotated[
        str, typer.Option(help="Bars of stocks: none, qfq (forward) or hfq (backward).")
    ] = "none",
    drop: Annotated[bool, typer.Option("--drop", help="Drop them instead.")] = False,
    json: JsonFlag = False,
) -> None:
    """Make the views of another program in schema `compat`, in the columns that it reads.

    They hold no rows, so they follow loads and builds. One whose tables are not built yet is left
    out: run the command again after their first build.

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
            print(f"{view.name} is not made")
        if view.unbuilt:
            print(f"  not built yet: {', '.join(view.unbuilt)}")


def _print(result: "ExportResult") -> None:
    size = f"{result.bytes / 1e6:,.1f} MB"
    print(f"{result.rows:,} rows in {result.files:,} files, {size}, in {result.folder}")
    removed = f", {result.removed:,} files removed" if result.removed else ""
    print(f"{result.written:,} parts written, {result.unchanged:,} unchanged{removed}")


def _print_list(exports: Sequence[Mapping[str, Any]]) -> None:
    shell.print_table(
        [
            (
                export["name"],
                export["state"],
                "" if export["rows"] is None else f"{export['rows']:,} rows",
                str(export["written_at"] or "")[:16],
                f"{export['form']} {export['what']}",
                export["folder"],
            )
            for export in exports
        ]
    )
    for export in exports:
        if export["error"]:
            print(f"{export['name']}: {export['error']}")
    if not exports:
        print(
            "no export follows; `quotemill export TABLE --to parquet DIR --follow NAME` makes one"
        )
