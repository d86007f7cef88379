"""Loads of registered sources: one load, or all parts of a request, with their results.

Commands, the nightly run and other programs call these functions with plain values.
"""

import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from loaders import log, sources
from loaders.engine import job_list, jobs, metrics, run, signals
from loaders.engine.load import Load
from loaders.engine.metrics import Metric
from loaders.engine.progress import Reporter
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult, not_due, stopped
from loaders.engine.run import name_rest
from loaders.settings import Settings
from loaders.settings.sections import section_types
from loaders.warehouse.ownership import has_role
from loaders.warehouse.postgres import find_warehouse, open_warehouse
from quotemill.errors import INTERRUPTED, NotDue, QuotemillError, SettingsError, UsageError
from quotemill.warehouse.dbt_project import find_project
from quotemill.warehouse.postgres import Warehouse

if TYPE_CHECKING:  # its module imports pyarrow
    from loaders.engine.source import Previewed

# where the progress of one load after another is shown
Display = Callable[[], AbstractContextManager[Reporter]]


class LoadOptions(TypedDict, total=False):
    """Further arguments of a load.

    as_of: replaces the clock
    retry: load what failed of the job `retry_job`, or of the newest one
    """

    as_of: datetime | None
    retry: bool
    retry_job: int | None


def prepare_warehouse(settings: Settings, reporter: Reporter) -> Warehouse:
    """Open the warehouse, migrate it to this version, and point plain dbt at it.

    With the tables of every source: a full build works for a user of one.
    """
    from loaders.warehouse import migrate
    from loaders.warehouse.profiles import write_profile
    from loaders.warehouse.reader import admit_reader
    from quotemill.warehouse.connections import read_session

    is_embedded = settings.warehouse_url is None
    reporter.step("starting PostgreSQL" if is_embedded else "connecting to PostgreSQL")
    warehouse = open_warehouse(settings)
    reporter.line(f"warehouse: {warehouse.label} ({warehouse.origin})")
    reporter.step("creating the schemas")
    migrate.prepare(warehouse, sources.landed_tables(), sources.dbt_settings(settings))
    if warehouse.admits_reader:
        admit_reader(warehouse)
    role = warehouse.reader_role
    if role and not warehouse.ask(lambda conn: has_role(conn, role)):
        reporter.line(
            f"warning: the reader role {role} does not exist, so it gets no access: "
            f"create role {role}, then run `quotemill build`"
        )
    write_profile(warehouse, find_project().profiles(settings.home), warehouse.ask(read_session))
    return warehouse


def run_load(
    settings: Settings,
    request: LoadRequest,
    reporter: Reporter,
    *,
    on_start: Callable[[Load], None] = lambda _: None,
    **options: Unpack[LoadOptions],
) -> LoadResult:
    """Load one registered source, see loaders.engine.run.run_load."""
    source = sources.find(request.source)

    return run.run_load(
        settings,
        source,
        request,
        reporter,
        prepare=lambda: prepare_warehouse(settings, reporter),
        on_start=on_start,
        **options,
    )


def load_with_progress(
    settings: Settings, request: LoadRequest, display: Display, **options: Unpack[LoadOptions]
) -> LoadResult:
    """Run a load and show it; Ctrl-C or SIGTERM stops it after the current batch, again at once."""
    loads: list[Load] = []
    is_stopped = False
    with display() as reporter, ExitStack() as stack:

        def stop(_signal: int, _frame: FrameType | None) -> None:
            nonlocal is_stopped
            is_stopped = True
            reporter.line("Stopping after the current batch; press Ctrl-C again to stop now")
            loads[0].interrupt()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

        def started(running: Load) -> None:
            loads.append(running)
            stack.enter_context(signals.handled({signal.SIGINT: stop, signal.SIGTERM: stop}))

        try:
            result = run_load(settings, request, reporter, on_start=started, **options)
        except KeyboardInterrupt:
            reporter.line(
                f"load {loads[0].job_id} stopped at once. {name_rest(loads[0].job_id)}"
                if loads
                else "stopped before the load began"
            )
            raise
        if result.status == "cancelled" and is_stopped:
            result = replace(result, exit_code=INTERRUPTED)
        for line in result.summary():
            reporter.line(line)
    return result


def try_load(
    settings: Settings, request: LoadRequest, display: Display, **options: Unpack[LoadOptions]
) -> LoadResult:
    """Run a load; an error is shown and becomes its result, so that other sources still load."""
    try:
        return load_with_progress(settings, request, display, **options)
    except Exception as error:
        known = log.explain(error)
        return _failed(request.source, known, display)


def load_parts(
    settings: Settings,
    request: LoadRequest,
    display: Display,
    *,
    as_of: datetime | None = None,
    is_only: bool = True,
) -> list[LoadResult]:
    """The loads that a source makes of a request, up to the first that ends it.

    `is_only`: no other source is loaded, so that an error before the first load is raised.
    """
    name = request.source
    try:
        parts = sources.find(name).requests.parts(settings, request, as_of)
    except NotDue as reason:
        _show(display, str(reason) if is_only else f"{name}: {reason}")
        return [not_due(name, reason)]
    except QuotemillError as error:
        if is_only:
            error.source = name
            raise
        return [_failed(name, error, display)]
    results: list[LoadResult] = []
    for part in parts:
        if len(parts) > 1 or not is_only:
            _show(display, f"{part.source}, {part.mode}:" if len(parts) > 1 else f"{part.source}:")
        results.append(try_load(settings, part, display, as_of=as_of))
        if results[-1].ends_source or results[-1].exit_code == INTERRUPTED:
            break
    return results


def preview(
    settings: Settings, request: LoadRequest, names: Sequence[str], as_of: datetime | None
) -> "dict[str, Previewed]":
    """Plans of loads of the named sources. Raises UsageError where no source has any."""
    previews = {name: sources.find(name).insight.preview for name in names}
    shown = {
        name: show(settings, find_warehouse(settings), replace(request, source=name), as_of)
        for name, show in previews.items()
        if show is not None
    }
    if not shown:
        raise UsageError(
            f"--dry-run is not available for {', '.join(names)}",
            hint="Run `loaders run ib --dry-run`.",
        )
    return shown


def tuning_flags(source: str | None, given: Mapping[str, int | None]) -> dict[str, Any]:
    """Settings of a source that one load replaces, as flags: `tdx={"concurrency": 3}`.

    Raises UsageError for a source without such a setting, or where none is named.
    """
    flags = {name: value for name, value in given.items() if value is not None}
    if not flags:
        return {}
    first = f"--{next(iter(flags)).replace('_', '-')}"
    if source is None:
        raise UsageError(f"{first} needs a source", hint=f"Run `loaders run tdx {first} 3`.")
    sources.find(source)
    known = section_types()[source].model_fields
    for name in flags:
        if name not in known:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is not an option of {source}")
    return {source: flags}


def remaining_work(settings: Settings, names: Sequence[str]) -> list[str]:
    """Work that loads of these sources have left, a line each."""
    try:
        warehouse = find_warehouse(settings) if names else None
        if warehouse is None:
            return []
        return [
            line
            for name in dict.fromkeys(names)
            for line in sources.find(name).insight.due(settings, warehouse)
        ]
    except QuotemillError as error:  # the loads themselves ended well
        return [f"run the load again (cannot read the remaining work: {error})"]


def require_configured(settings: Settings, trial: str) -> tuple[list[str], list[str]]:
    """The sources whose settings are present, and those that are skipped.

    Raises SettingsError where none is; its hint names `trial`, a command that needs no setting.
    """
    ready, skipped = sources.configured(settings)
    if not ready:
        raise SettingsError(
            f"no source is configured: {'; '.join(skipped.values())}",
            hint=f"Try `{trial}`, which needs no settings, or configure a source: "
            f"{sources.describe_start(settings, trial)}",
        )
    return ready, list(skipped)


def source_to_retry(settings: Settings, job: int | None) -> str:
    """The source of a job; without one the only source, or the only one whose newest job failed.

    Raises UsageError where none or several qualify, SettingsError where no source is configured.
    """
    ready, _ = sources.configured(settings)
    if job is None and len(ready) < 2:
        return require_configured(settings, "loaders sandbox tdx")[0][0]
    warehouse = find_warehouse(settings)
    if warehouse is None:
        raise sources.explain_no_load(settings)
    if job is not None:
        return jobs.source_of(warehouse, job)
    newest = {job["source"]: job["status"] for job in warehouse.ask(job_list.newest_jobs)}
    failed = [name for name in ready if newest.get(name) not in (None, "succeeded", "running")]
    if len(failed) != 1:
        raise UsageError(
            f"several sources qualify: {', '.join(ready)}",
            hint=f"Run `quotemill retry {(failed or ready)[0]}`.",
        )
    return failed[0]


def measure_loads(loads: Sequence[LoadResult]) -> list[Metric]:
    """The figures of loads, by source."""
    uncounted = {result.source: sources.find(result.source).insight.uncounted for result in loads}
    return metrics.measure_loads(loads, uncounted)


def _failed(source: str, error: QuotemillError, display: Display) -> LoadResult:
    log.write_error(error, source)
    _show(display, *error.lines)
    return stopped(source, error)


def _show(display: Display, *lines: str) -> None:
    with display() as reporter:
        for line in lines:
            reporter.line(line)
