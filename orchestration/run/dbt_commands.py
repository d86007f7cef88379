"""Any command of dbt with our settings, and its docs as one file."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loaders import loads
from loaders.settings import Settings
from loaders.warehouse import migration_files
from loaders.warehouse.postgres import (
    find_warehouse,
    open_warehouse,
    require_current_warehouse,
    require_warehouse,
)
from orchestration.run import build as builds
from orchestration.run.build_record import build_lock
from orchestration.run.build_result import is_finding, list_nodes, rate_failures, read_finding
from quotemill.errors import QuotemillError, SettingsError, UpstreamError, UsageError

# dbt's commands that write into the warehouse
_WRITING = frozenset({"build", "run", "seed", "snapshot", "clone", "retry"})
_LISTING = ("ls", "list")  # `--resource-type seed` of these writes nothing
_READING = frozenset({"test", "show", "compile", "source", "docs"})  # tables of this version


def run_dbt(settings: Settings, arguments: Sequence[str]) -> int:
    """Run any dbt command with our settings; return its exit code.

    A command that writes makes the warehouse if need be, and takes the build lock.
    """
    if not arguments:
        raise UsageError(
            "dbt needs a command", hint="Run `quotemill dbt build --select kline_daily_qfq+`."
        )
    if arguments[0] not in _LISTING and any(word in _WRITING for word in arguments):
        warehouse = loads.prepare_warehouse(settings, builds.stderr)
        with build_lock(warehouse):
            return _exit_code(builds.invoke(settings, warehouse, arguments))
    existing = find_warehouse(settings)
    if existing is not None:
        if arguments[0] not in _LISTING and any(word in _READING for word in arguments):
            existing.ask(migration_files.refuse_outdated)
        return _exit_code(builds.invoke(settings, existing, arguments))
    # `ls`, `parse` and `--help` need no server, and leave nothing behind
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = settings.model_copy(update={"home": Path(folder)})
        try:
            return _exit_code(
                builds.invoke(elsewhere, open_warehouse(settings, start=False), arguments)
            )
        except (SettingsError, UpstreamError) as error:
            if arguments[0] not in (*_LISTING, "parse"):
                require_warehouse(settings)
            error.hint = error.hint.partition(f" See {folder}")[0]  # its log goes with it
            raise


def _exit_code(outcome: Any) -> int:
    """The exit code of a command of dbt, as that of a build."""
    if outcome.success:
        return 0
    return rate_failures(map(read_finding, filter(is_finding, list_nodes(outcome))))


def make_docs(settings: Settings, output: Path | None) -> Path:
    """Write the dbt docs site as one static file, by default below the home; return its path."""
    warehouse = require_current_warehouse(settings)
    outcome = builds.invoke(settings, warehouse, ["docs", "generate", "--static"], quiet=True)
    if not outcome.success:
        raise QuotemillError(
            "dbt could not write its docs", hint="Run `quotemill dbt docs generate`."
        )
    output = output or settings.home / "models.html"
    output.parent.mkdir(parents=True, exist_ok=True)
    page = (builds.dbt_target(settings, warehouse) / "static_index.html").read_text("utf-8")
    # dbt leaves a placeholder instead of its icon
    output.write_text(re.sub(r'href="\$\{require\([^"]*"', 'href="data:,"', page), "utf-8")
    return output
