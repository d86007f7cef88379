"""`quotemill retry`."""

import typer

from loaders import loads
from loaders.cli import load, shell
from loaders.cli.shell import AsOf, JsonFlag, Verbose
from loaders.engine import metrics
from loaders.errors import QuotemillError, most_severe
from loaders.settings import load_settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli import build
from orchestration.run import build as builds
from orchestration.run.metrics import measure_builds
from orchestration.run.stages import BUILD_WAIT


def retry_command(
    source: load.RetriedSource = None,
    job: load.RetriedJob = None,
    as_of: AsOf = None,
    verbose: Verbose = False,
    json: JsonFlag = False,
) -> None:
    """Load what is left of a job that failed or was interrupted, and build what that touched.

    For any source. `loaders retry` only loads.

    Example: quotemill retry 12
    """
    settings = load_settings()
    loaded, built = load.retry(settings, source, job, as_of=as_of, verbose=verbose), None
    unbuilt: QuotemillError | None = None
    if loaded.job_id is not None and loaded.status != "cancelled":
        try:
            warehouse = open_warehouse(settings)
            built = builds.build(
                settings, warehouse, builds.stderr.line, only_touched=True, wait=BUILD_WAIT
            )
        except QuotemillError as error:  # it must not hide how the load ended
            unbuilt = error
            shell.print_error(error)
    if built is not None:
        build.print_summary(built)
    metrics.record(
        settings, [*loads.measure_loads([loaded]), *measure_builds([built] if built else [])]
    )
    code = most_severe(
        [
            loaded.exit_code,
            built.exit_code if built else 0,
            unbuilt.exit_code if unbuilt else 0,
        ]
    )
    if json:
        answer = {"load": loaded.as_json(), "build": built and built.as_json()}
        shell.print_json(
            answer
            | {
                "exit_code": code,
                "error": loaded.error or (str(unbuilt) if unbuilt else None),
                "hint": loaded.hint if loaded.error or not unbuilt else unbuilt.hint,
            }
        )
    raise typer.Exit(code)
