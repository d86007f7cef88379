"""`quotemill gate`."""

import sys
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.checks import print_checks
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings
from loaders.warehouse.postgres import require_warehouse
from quotemill.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Manage the rollout stages of the options universe.")
By = Annotated[str, typer.Option(help="Name or role of the person who decides.")]
Note = Annotated[str | None, typer.Option(help="Reason to store with the decision.")]
Stage = Annotated[int, typer.Argument(min=1, help="Stage number.")]


@app.command("list")
def list_command(json: JsonFlag = False) -> None:
    """List the rollout stages of the options universe.

    Shows which are open, which can be opened, and what is missing or failing.

    Example: quotemill gate list
    """
    from orchestration.checks import option_gates

    rows = option_gates.list_stages(require_warehouse(load_settings()))
    checks = [option_gates.check_stage(row) for row in rows]
    document = [c.as_json() | row for c, row in zip(checks, rows, strict=True)]
    shell.print_answer(document, json, lambda: print_checks(checks))


@app.command("open")
def open_command(
    stage: Stage,
    by: By,
    note: Note = None,
    force: Annotated[
        bool, typer.Option(help="Open it even if it is not ready. This is recorded.")
    ] = False,
) -> None:
    """Open a stage and record who, when and on what evidence.

    Does not change settings.

    Example: quotemill gate open 1 --by "data owner"
    """
    _decide(stage, "open", by, note, force)


@app.command("close")
def close_command(stage: Stage, by: By, note: Note = None) -> None:
    """Close a stage again and record who, when and why.

    Example: quotemill gate close 1 --by "data owner" --note "pacing"
    """
    _decide(stage, "close", by, note, False)


def _decide(stage: int, action: str, by: str, note: str | None, force: bool) -> None:
    from orchestration.checks import option_gates

    if not by.strip():
        raise UsageError("--by is empty", hint='Add --by "data owner".')
    warehouse = require_warehouse(load_settings())
    row = option_gates.decide(warehouse, stage, action, by, note, force)
    rates = f"{row['snapshot_per_minute']} batches a minute of {row['max_concurrent_snapshots']}"
    print(f"stage {stage} is {row['state']}: {row['symbols']}, {rates}", file=sys.stderr)
