"""`quotemill warehouse upgrade-timescale`: convert plain tables to hypertables, and back."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings
from quotemill.errors import UsageError

if TYPE_CHECKING:
    from orchestration.timescale.upgrade import Conversion

app = typer.Typer()
_File = Annotated[
    Path | None,
    typer.Option(
        "--file", help="Backup file to write.", show_default="under QUOTEMILL_HOME/backups"
    ),
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="List the tables without changing them.")]
_Yes = Annotated[bool, typer.Option("--yes", help="Convert without asking.")]


@app.callback(invoke_without_command=True)
def upgrade_command(
    context: typer.Context,
    file: _File = None,
    dry_run: _DryRun = False,
    yes: _Yes = False,
    json: JsonFlag = False,
) -> None:
    """Convert plain tables to hypertables, on a server with TimescaleDB.

    Writes and verifies a backup first. Each table is then locked, converted in one transaction and
    compared row by row. If it is interrupted, run it again for the remaining tables. Views are
    kept. Daily tables are hypertables only while timescale.daily is on. `rollback` converts all of
    them back.

    Example: quotemill warehouse upgrade-timescale --dry-run
    """
    if context.invoked_subcommand is None:
        _convert("upgrade", file, dry_run, yes, json)
    elif file or dry_run or yes or json:
        raise UsageError(
            f"options must follow {context.invoked_subcommand}",
            hint=f"Put them after it: `upgrade-timescale {context.invoked_subcommand} --dry-run`.",
        )


@app.command("rollback")
def rollback_command(
    file: _File = None,
    dry_run: _DryRun = False,
    yes: _Yes = False,
    json: JsonFlag = False,
) -> None:
    """Convert hypertables and continuous aggregates back to plain tables.

    Keeps their current rows. Backs up, converts and compares as the upgrade does.

    Example: quotemill warehouse upgrade-timescale rollback --yes
    """
    _convert("rollback", file, dry_run, yes, json)


def _convert(verb: str, file: Path | None, dry_run: bool, yes: bool, json: bool) -> None:
    from loaders.cli.progress import reporter
    from loaders.loads import prepare_warehouse
    from orchestration.timescale import upgrade

    settings = load_settings()
    shell.start_logs(settings)
    convert = partial(upgrade.convert, to_plain=verb == "rollback")
    with reporter() as shown:
        warehouse = prepare_warehouse(settings, shown)
        tables = upgrade.declared(settings, warehouse)
        planned = convert(settings, warehouse, tables, shown.line, dry_run=True)
    if planned.tables and not (dry_run or yes):
        _print(planned, verb)
        hint = "Add --yes to convert without asking."
        shell.confirm("Back up, then convert?", f"converts {len(planned.tables)} tables", hint)
    result = planned
    if planned.tables and not dry_run:
        with reporter() as shown:
            result = convert(settings, warehouse, tables, shown.line, file=file)
    shell.print_answer(result.as_json(), json, lambda: _print(result, verb))


def _print(result: "Conversion", verb: str) -> None:
    for table in result.tables:
        if table.hash is None:
            typer.echo(f"{table.name}: {table.about}")
        else:
            typer.echo(f"{table.name}: {table.rows:,} rows, {table.seconds:.0f} s")
    for name in result.left:
        typer.echo(f"{name}: kept")
    if not (result.tables or result.left):
        typer.echo("nothing to do: none of the tables exist yet (loads and builds create them)")
    elif not result.tables:
        typer.echo("nothing to do: no table needs to be converted")
    elif result.backup:
        typer.echo(f"backup: {result.backup}")
        if verb == "upgrade":
            typer.echo("next: run `quotemill build` to apply chunk sizes and compression")
