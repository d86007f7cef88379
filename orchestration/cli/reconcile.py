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
        str | None, typer.Option(help="Month to compare, as 2025-06; the newest whole one stored.")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="How many codes are compared.")] = 20,
    seed: Annotated[
        int | None, typer.Option(help="Draw the sample of an earlier run again.")
    ] = None,
    codes: Annotated[
        str | None, typer.Option(help="Compare these instead of a sample; comma-separated.")
    ] = None,
    as_of: AsOf = None,
    json: JsonFlag = False,
) -> None:
    """Compare a sample of codes with what other sources say.

    One month, with the service and other sources. Loads the evidence, compares, and counts the
    differences by their likely cause; each is a row of `qa.reconciliation`. Exits with 5 where
    something differs, with 6 where evidence of some codes did not come.

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
        raise UsageError(f"{text!r} is not a month like 2025-06") from None
