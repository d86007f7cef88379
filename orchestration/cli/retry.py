"""`quotemill retry`."""

from typing import Annotated

import typer

from loaders import loads
from loaders.cli import shell
from loaders.cli.progress import reporter
from loaders.cli.shell import AsOf, JsonFlag, Verbose
from loaders.engine import metrics
from loaders.engine.request import LoadRequest
from loaders.errors import most_severe
from loaders.settings import load_settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli import build
from orchestration.run import build as builds
from orchestration.run.metrics import of_builds


def retry_command(
    source: Annotated[
        str | None, typer.Argument(help="tdx, or the job's number; not needed where one failed")
    ] = None,
    job: Annotated[int | None, typer.Argument(help="its newest job if absent")] = None,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Load what is left of a job that failed or was interrupted, and build what that touched.

    For any source. `loaders retry` only loads.

    Example: quotemill retry 12
    """
    settings = load_settings()
    shell.start_logs(settings, verbose)
    source, job = shell.parse_source_and_job(source, job)
    request = LoadRequest(source or loads.source_to_retry(settings, job), mode="incremental")
    at, built = shell.parse_time(as_of), None
    loaded = loads.try_load(settings, request, reporter, as_of=at, retry=True, retry_job=job)
    if loaded.job_id is not None and loaded.status != "cancelled":
        warehouse = open_warehouse(settings)
        built = builds.build(settings, warehouse, builds.stderr.line, only_touched=True)
    if built is not None:
        build.print_summary(built)
    metrics.record(settings, [*loads.measure_loads([loaded]), *of_builds([built] if built else [])])
    code = most_severe([loaded.exit_code, built.exit_code if built else 0])
    if json:
        answer = {"load": loaded.as_json(), "build": built and built.as_json()}
        shell.print_json(answer | {"exit_code": code, "error": loaded.error, "hint": loaded.hint})
    raise typer.Exit(code)
