"""`quotemill warehouse distribute`: distribute minute and tick tables over the Citus nodes."""

from typing import TYPE_CHECKING, Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings

if TYPE_CHECKING:
    from orchestration.distribute import Distribution


def distribute_command(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the tables without changing them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Distribute without asking.")] = False,
    json: JsonFlag = False,
) -> None:
    """Distribute minute and tick tables over the Citus nodes, by code.

    Covers landed tables and 5, 15 and 30-minute bars. Each table is locked, moved in one
    transaction and compared row by row. If it is interrupted, run it again for the remaining
    tables. Run `quotemill warehouse dump FILE` first.

    Example: quotemill warehouse distribute --dry-run
    """
    from loaders.cli.progress import reporter
    from loaders.loads import prepare_warehouse
    from orchestration.distribute import distribute

    settings = load_settings()
    shell.start_logs(settings)
    with reporter() as shown:
        warehouse = prepare_warehouse(settings, shown)
        result = distribute(warehouse, shown.line, dry_run=True)
    if result.tables and not (dry_run or yes):
        _print(result)
        hint = "Add --yes to distribute without asking."
        shell.confirm("Distribute them?", f"distributes {len(result.tables)} tables", hint)
    if result.tables and not dry_run:
        with reporter() as shown:
            result = distribute(warehouse, shown.line)
    shell.print_answer(result.as_json(), json, lambda: _print(result))


def _print(result: "Distribution") -> None:
    for table in result.tables:
        if result.dry_run:
            typer.echo(f"{table.name}: {table.about}")
        else:
            typer.echo(f"{table.name}: {table.rows:,} rows, {table.seconds:.0f} s")
    if not result.tables:
        typer.echo("nothing to do: no minute or tick table is left to distribute")
    typer.echo(f"Citus {result.version}, nodes: {', '.join(result.nodes) or 'none'}")
