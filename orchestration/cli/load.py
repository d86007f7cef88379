"""`quotemill load` and `quotemill retry`: a load, and a build of the affected models."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from loaders import loads
from loaders.cli import load, shell
from loaders.cli.progress import reporter
from loaders.engine import metrics
from loaders.engine.result import LoadResult
from loaders.settings import Settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli import build
from orchestration.run import build as builds
from orchestration.run.build_progress import stoppable
from orchestration.run.build_result import BuildResult
from orchestration.run.metrics import measure_builds
from orchestration.run.stages import BUILD_WAIT
from quotemill.errors import INTERRUPTED, QuotemillError, most_severe


@functools.wraps(load.run_command)  # with its options
def load_command(**options: Any) -> None:
    requested = load.load_requested(options)
    if requested is not None:
        settings, results = requested
        load.print_remaining_work(settings, results)
        documents = [result.as_json() for result in results]
        _build_and_finish(settings, results, {"loads": documents}, json=options["json"])


load_command.__doc__ = """Load data, then build the affected models.

    `loaders run` accepts the same options, explains them, and only loads. `quotemill run` also
    runs checks, archives and sends alerts.

    Example: quotemill load tdx --mode init --exchange sh
    """


@functools.wraps(load.retry_command)
def retry_command(**options: Any) -> None:
    settings, loaded = load.retry_requested(options)
    _build_and_finish(settings, [loaded], {"load": loaded.as_json()}, json=options["json"])


retry_command.__doc__ = """Resume a failed or stopped load, then build the affected models.

    Works for any source. Without a number it resumes the newest failed load.

    Example: quotemill retry 12
    """


def _build_and_finish(
    settings: Settings, loaded: Sequence[LoadResult], documents: Mapping[str, Any], *, json: bool
) -> None:
    """Build unless somebody stopped the loads; print the answer, exit with the worst code."""
    built: BuildResult | None = None
    unbuilt: QuotemillError | None = None
    was_stopped = any(x.status == "cancelled" or x.exit_code == INTERRUPTED for x in loaded)
    if not was_stopped and any(result.job_id is not None for result in loaded):
        try:
            warehouse = open_warehouse(settings)
            display = functools.partial(stoppable, reporter)
            built = builds.build(settings, warehouse, display, only_touched=True, wait=BUILD_WAIT)
        except QuotemillError as error:  # it must not hide how the load ended
            unbuilt = error
            shell.print_error(error)
    if built is not None:
        build.print_summary(built)
    metrics.record(
        settings, [*loads.measure_loads(loaded), *measure_builds([built] if built else [])]
    )
    codes = [result.exit_code for result in loaded]
    codes += [built.exit_code if built else 0, unbuilt.exit_code if unbuilt else 0]
    code = INTERRUPTED if INTERRUPTED in codes else most_severe(codes)
    if json:
        why: Any = next((x for x in loaded if x.error), unbuilt)
        shell.print_json(
            {
                **documents,
                "build": built and built.as_json(),
                "exit_code": code,
                "error": why.error if isinstance(why, LoadResult) else why and str(why),
                "hint": why.hint if why else next((x.hint for x in loaded if x.hint), ""),
            }
        )
    raise typer.Exit(code)
