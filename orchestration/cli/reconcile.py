"""`quotemill reconcile`."""

from datetime import date, datetime
from typing import Annotated

import typer

from loaders.cli import shell
from loaders.cli.checks import print_checks
from loaders.cli.shell import AsOf, JsonFlag
from loaders.settings import load_settings
from quotemill.errors import UsageError


def reconcile_command(
    month: Annotated[
        str | None,
        typer.Option(
            help="Month to compare, such as 2025-06.", show_default="newest complete month"
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Number of codes to compare.")] = 20,
    seed: Annotated[
        int | None, typer.Option(help="Draw the same sample as the run with this seed.")
    ] = None,
    codes: Annotated[
        str | None,
        typer.Option(help="Compare these codes instead of a sample (comma-separated)."),
    ] = None,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Compare a sample of codes with other sources.

    Loads one month from the service and the other sources, compares it with stored rows, and counts
    the differences by their likely cause. Each difference is a row in `qa.reconciliation`. Exits
    with 5 if anything differs, and with 6 if some codes could not be loaded.

    Example: quotemill reconcile --month 2025-06 --sample 50
    """
    from loaders import loads
    from loaders.cli.progress import reporter
    from loaders.warehouse.postgres import require_warehouse
    from orchestration.checks import reconcile
    from orchestration.run import build
    from orchestration.run.metrics import measure_command
    from quotemill.codes import read_codes

    settings = load_settings()
    shell.start_logs(settings)
    require_warehouse(settings)
    request = reconcile.Request(
        _month(month),
        sample,
        seed,
        None if codes is None else read_codes(c for c in codes.split(",") if c.strip()),
    )
    with measure_command(settings, "reconcile", "tdx") as figures:
        warehouse = loads.prepare_warehouse(settings, build.stderr)
        result = reconcile.run(
            settings,
            warehouse,
            request,
            reporter,
            build.stderr.line,
            as_of=shell.parse_time(as_of),
        )
        figures |= {
            "codes": len(result.codes),
            "differences": len(result.differences),
            "failed_keys": sum(map(len, result.not_loaded.values())),
        }
        shell.print_answer(result.as_json(), json, lambda: print_checks(result.checks))
        if result.differences and not json:
            print(f"rows: select * from qa.reconciliation where run_id = {result.run_id}")
        raise typer.Exit(result.exit_code)


def _month(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m").date()
    except ValueError:
        raise UsageError(f"not a month: {text!r}", hint="Give a month like 2025-06.") from None
