"""dbt in this process, and recorded builds of what loads touched."""

import contextlib
import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from loaders import log
from loaders.engine.progress import Silent, print_line
from loaders.files.folder import NO_ROOM
from loaders.loads import Display
from loaders.settings import Settings
from loaders.warehouse import editions
from loaders.warehouse.profiles import write_profile
from orchestration.run import manifest
from orchestration.run.build_progress import NodeProgress, recorded
from orchestration.run.build_record import Wait, is_loaded, recorded_build
from orchestration.run.build_result import BuildResult, list_nodes, summarize
from orchestration.run.quick_dbt import quick_dbt
from orchestration.run.seed_files import check_seeds
from quotemill.errors import (
    QuotemillError,
    SettingsError,
    UpstreamError,
    UsageError,
    sqlstate,
    walk_causes,
)
from quotemill.warehouse.dbt_project import find_project
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.refusals import explain_refusal

_NO_ROOM = tuple(f"[Errno {number}]" for number in NO_ROOM)  # as errors of the system begin
_LOG_LEVEL = "DBT_LOG_LEVEL_FILE"  # dbt's own variable
# a view of a user goes with a table that dbt replaces
_OUR_VIEWS = "config.materialized:replaced_view,group:warehouse"


def dbt_target(settings: Settings, warehouse: Warehouse) -> Path:
    """dbt's target folder, with our profile in it: one for each warehouse and home.

    A shared folder would cost a full parse at each switch. A shared profile would send a build to
    the tables of another warehouse.
    """
    name = f"{warehouse.label} {warehouse.market_schema}"
    return settings.home / "dbt" / hashlib.sha256(name.encode()).hexdigest()[:12]


def build(
    settings: Settings,
    warehouse: Warehouse,
    display: Display,
    *,
    only_touched: bool = False,
    with_views: bool = False,
    arguments: Sequence[str] = (),
    wait: float | None = None,
) -> BuildResult | None:
    """Run `dbt build`.

    `only_touched`: build only what depends on tables that loads wrote since the last good build;
    views, which show new rows as they are, only `with_views`.
    `wait`: seconds to wait for another build; None: LockHeldError at once.
    None if nothing was touched, or ever loaded. A build that failed is in the result and in
    ops.builds. Raises UpstreamError where the server or nodes of Citus were away, or its disk is
    full.
    """
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(display())
        patience = None if wait is None else Wait(wait, shown.line)
        record = stack.enter_context(recorded_build(settings, warehouse, patience))
        selection = list(arguments)
        tables = record.tables if only_touched else None
        if tables == []:
            shown.line("build: nothing has changed since the last build")
            return None
        if not warehouse.ask(partial(is_loaded, needs_end=only_touched)):
            if only_touched:  # the load has said what to do
                shown.line("build: no load has finished yet, so nothing is built")
                return None
            shown.line("build: nothing is loaded yet: run `quotemill run`")
        for table in tables or ():
            selection += ["--select", f"source:{table}+"]
        if only_touched and not arguments:
            # as the default selector; and the qa stage judges findings, each check would run twice
            selection += ["--exclude", "resource_type:unit_test"]
            selection += ["tag:whole_tables", "test_name:no_rows"]
            if tables and not with_views and warehouse.ask(editions.keeps_relations):
                # a view stays as it is while its query does; tests that read it still run
                selection += [_OUR_VIEWS, "--indirect-selection", "empty"]
        elif "--select" in selection:
            # dbt leaves its default selector out
            selection += ["--exclude", "tag:whole_tables"]
            # a test of a selected model runs though another one that it reads is not selected
            selection += ["--indirect-selection", "eager"]
        # a build of named models proves nothing about the rest
        part = bool(arguments) and not only_touched
        started = time.monotonic()
        command = " ".join(["build", *selection])
        build_id = record.begin(command, part=part)
        why = record.why if only_touched else ""
        shown.line(_describe(build_id, tables, arguments, why))
        shown.step("reading the models")
        log.write("info", f"build {build_id} starts: dbt {command}", source="dbt")
        # nobody reads the JSON of this build; a touched table that no model reads selects nothing
        command_line = ["--no-write-json", "build", *selection]
        progress = NodeProgress(shown)
        with recorded(progress, record):
            outcome = invoke(
                settings,
                warehouse,
                command_line,
                quiet=True,
                lenient=tables is not None,
                callbacks=[progress],
            )
        result = summarize(warehouse, build_id, command, outcome, time.monotonic() - started)
        record.end(result.succeeded, result.failures, asdict(result))
        _log_result(result)
        if not result.succeeded:
            _refuse_lost_nodes(warehouse, result.failures)
        if result.succeeded and not part:
            manifest.write(settings, warehouse, build_id)
    return result


def _describe(
    build_id: int, tables: Sequence[str] | None, arguments: Sequence[str], why: str = ""
) -> str:
    """A build in one sentence; the log has its command of dbt."""
    if tables is not None:
        changed = "one changed table" if len(tables) == 1 else f"{len(tables)} changed tables"
        return f"build {build_id} updates the models of {changed}"
    if arguments:
        return f"build {build_id} builds: {' '.join(arguments)}"
    return f"build {build_id}: full build" + (f" ({why})" if why else "")


def _refuse_lost_nodes(warehouse: Warehouse, failures: str) -> None:
    """Raise UpstreamError where nodes are or were away: that is why the build failed."""
    with warehouse.connect(autocommit=True) as conn:
        lost = editions.list_lost_nodes(conn, failures)
    if lost:
        raise UpstreamError(
            f"the build failed because Citus nodes are unreachable: {', '.join(lost)}",
            hint="Start them, then run the build again: what was built is kept.",
        )


def _log_result(result: BuildResult) -> None:
    """Log how a build ended and what did not pass.

    A test that warns is logged as info: it reports findings, which are judged separately.
    """
    levels = {"warn": "info", "fail": "error", "error": "error"}
    for finding in result.findings:
        log.write(levels[finding.status], f"{finding.name}: {finding.message}", source="dbt")
    end, level = ("succeeded", "info") if result.succeeded else ("failed", "error")
    figures = {"seconds": result.seconds, "models": result.models_built}
    log.write(level, f"build {result.build_id} {end}", source="dbt", detail=figures)


def invoke(
    settings: Settings,
    warehouse: Warehouse,
    arguments: Sequence[str],
    *,
    quiet: bool = False,
    lenient: bool = False,
    manifest: Any = None,
    callbacks: Sequence[Callable[[Any], None]] = (),
) -> Any:
    """Run dbt in this process with our project, profile and target.

    Returns dbt's own result. dbt prints to stdout; with `quiet` it prints nothing, and its errors
    are in its log. Raises UpstreamError where a failure is the server's or a full disk's, and
    SettingsError for a seed file that cannot be read. A selector that matches nothing is an error
    unless `lenient`. `manifest`: the project as dbt has parsed it; None: dbt reads its files, or
    what it kept of them in the target. `callbacks` get dbt's events.
    """
    project = find_project()
    target = dbt_target(settings, warehouse)
    write_profile(warehouse, target)
    defaults = {
        "--project-dir": str(project.dbt),
        "--profiles-dir": str(target),
        "--target-path": str(target),
        "--log-path": str(settings.home / "logs"),
    }
    given = {argument.split("=")[0] for argument in arguments}
    is_command = any(not argument.startswith("-") for argument in arguments)  # or dbt's own --help
    options = [
        part
        for name, value in defaults.items()
        if is_command and name not in given
        for part in (name, value)
    ]
    head = ["--no-send-anonymous-usage-stats"]
    if quiet:
        head += ["--log-level", "none"]
        if _LOG_LEVEL not in os.environ:
            head += ["--log-level-file", "info"]  # else some 3,000 lines in each build
    if not lenient:
        head += ["--warn-error-options", '{"error": ["NoNodesForSelectionCriteria"]}']
    _require_semaphores()
    stdout = contextlib.redirect_stdout(sys.stderr) if quiet else contextlib.nullcontext()
    if is_command:
        check_seeds(project.root / "seeds")
    with quick_dbt() as lost, stdout:
        from dbt.cli.main import dbtRunner

        outcome = dbtRunner(manifest, [*callbacks]).invoke([*head, *arguments, *options])
    if isinstance(outcome.exception, KeyboardInterrupt):  # dbt has cancelled its queries
        raise outcome.exception
    log_file = f"See {settings.home / 'logs' / 'dbt.log'}."
    if lost and not outcome.success:
        away = warehouse.away(next(filter(sqlstate, lost), lost[0]))
        away.hint += f" {log_file}"
        raise away
    if full := _find_full_disk(outcome):
        hint = f"Free some space on the disk of {settings.home}, then run again. {log_file}"
        raise UpstreamError(f"no room left for dbt's files: {full}", hint=hint)
    if outcome.exception is not None and not outcome.result:
        raise _dbt_error(outcome.exception, settings, log_file)
    return outcome


def _find_full_disk(outcome: Any) -> str | None:
    """What dbt says about a file that found no room; of an error in a node it keeps the text."""
    failed = (str(x.message) for x in list_nodes(outcome) if str(x.status) == "error")
    texts = [*map(str, walk_causes(outcome.exception)), *failed]
    return next((text for text in texts if text.startswith(_NO_ROOM)), None)


def _require_semaphores() -> None:
    """The locks of dbt, which are files in /dev/shm."""
    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError as error:
        hint = "Run `mount -t tmpfs tmpfs /dev/shm`, or start the container with --shm-size 64m."
        raise SettingsError(
            f"dbt needs a writable /dev/shm with free space: {error.strerror}", hint=hint
        ) from None


def _dbt_error(error: Exception, settings: Settings, log_file: str) -> QuotemillError:
    if refusal := explain_refusal(error, settings):
        return refusal
    text = " ".join(str(error).split()).replace("fix: ", "")  # the line below has the word
    if "does not match any" in text:
        return UsageError(text, hint="Run `quotemill dbt ls` to list what you can select.")
    if type(error).__name__ in ("DbtUsageException", "BadOptionUsage", "NoSuchOption"):
        return UsageError(text, hint="Run `quotemill dbt --help`.")
    from dbt_common.exceptions import DbtRuntimeError

    if not isinstance(error, DbtRuntimeError):
        return log.explain(error)
    return SettingsError(f"dbt: {text}", hint=f"Correct it, then run again. {log_file}")


class _Stderr(Silent):
    def line(self, text: str) -> None:
        print_line(text)


stderr = _Stderr()
