"""`quotemill selfcheck` and `quotemill gate`."""

import sys
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.shell import EvaluatedAt, JsonFlag
from loaders.settings import load_settings
from loaders.warehouse.postgres import require_warehouse
from quotemill.errors import DataQualityError, UsageError

app = typer.Typer(
    no_args_is_help=True, help="The stages in which the universe of option chains grows."
)
By = Annotated[str, typer.Option(help="Who decides: a name or a role.")]
Note = Annotated[str | None, typer.Option(help="Why, in a few words; stored with it.")]
Stage = Annotated[int, typer.Argument(min=1, help="Number of the stage.")]


def selfcheck_command(
    source: Annotated[str, typer.Argument(help="The source: ib.")],
    date: Annotated[
        str | None, typer.Option(help="The session; by default the newest finished one.")
    ] = None,
    as_of: EvaluatedAt = None,
) -> None:
    """Print the daily checks of option chains as JSON: PASS, FAIL, PENDING until open interest.

    Coverage of the slots, data types, rows of the day by origin, counts against the slots, open
    interest, flags; room on the disk, and whether archive and retention keep up. Exits 5 where a
    check fails, and where a session has no row.

    Example: quotemill selfcheck ib --date 2026-11-25
    """
    from orchestration.checks import selfcheck
    from orchestration.run.metrics import measure_command

    if source != "ib":
        raise UsageError(f"selfcheck is not available for {source}", hint="quotemill selfcheck ib")
    settings = load_settings()
    shell.start_logs(settings)
    warehouse = require_warehouse(settings)
    with measure_command(settings, "selfcheck", source) as figures:
        result = selfcheck.run(warehouse, shell.parse_day(date), shell.parse_time(as_of), settings)
        figures |= {
            f"{word.lower()}_checks": sum(check.status == status for check in result.checks)
            for status, word in selfcheck.WORDS.items()
        }
        figures["flagged_rows"] = sum(result.flags.values())
        shell.print_json(result.as_json())
        if result.status == selfcheck.FAIL:
            failed = sorted(
                {f"{c.subject} {c.name}".strip() for c in result.checks if c.status == "fail"}
            )
            raise DataQualityError(
                f"{result.trade_date or 'option chains'}: {', '.join(failed) or 'no row'}",
                hint="quotemill findings",
            )


@app.command("list")
def list_command(json: JsonFlag = False) -> None:
    """List the stages: which are open, which may be opened, what is missing, what goes wrong.

    Example: quotemill gate list
    """
    from orchestration.checks import option_gates

    rows = option_gates.list_stages(require_warehouse(load_settings()))
    if json:
        shell.print_json(rows)
        return
    for row in rows:
        by = f" by {row['decided_by']}" if row["decided_by"] and row["state"] == "open" else ""
        why = f": {row['reason']}" if row["reason"] else ""
        print(f"{row['stage']} {row['state']:<6} {row['symbols']}{by}{why}")
        if row["warning"]:
            print(f"  warning: {row['warning']}")


@app.command("open")
def open_command(
    stage: Stage,
    by: By,
    note: Note = None,
    force: Annotated[
        bool, typer.Option(help="Open it although it is not ready; that is recorded.")
    ] = False,
) -> None:
    """Record that a stage is opened: by whom, when, by which figures. Settings do not change.

    Example: quotemill gate open 1 --by "data owner"
    """
    _decide(stage, "open", by, note, force)


@app.command("close")
def close_command(stage: Stage, by: By, note: Note = None) -> None:
    """Record that a stage is closed again.

    Example: quotemill gate close 1 --by "data owner" --note "three pacing events"
    """
    _decide(stage, "close", by, note, False)


def _decide(stage: int, action: str, by: str, note: str | None, force: bool) -> None:
    from orchestration.checks import option_gates

    if not by.strip():
        raise UsageError("--by must not be empty", hint='--by "data owner"')
    warehouse = require_warehouse(load_settings())
    row = option_gates.decide(warehouse, stage, action, by, note, force)
    rates = f"{row['snapshot_per_minute']} batches a minute of {row['max_concurrent_snapshots']}"
    print(f"stage {stage} is {row['state']}: {row['symbols']}, {rates}", file=sys.stderr)
