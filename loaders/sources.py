"""The sources of `loaders.settings.sections`, each a value of `loaders.engine.source.Source`.

What commands know of a source that they do not load, its Operations, is a module of its own beside
it: importing the source takes half a second.
"""

import importlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loaders.check import Check, run_checks
from loaders.settings.sections import SOURCES
from quotemill.errors import UsageError
from quotemill.settings.files import find_files, find_home_files

if TYPE_CHECKING:
    from loaders.engine.operations import Operations
    from loaders.engine.source import Source
    from loaders.settings import Settings
    from loaders.warehouse.tables import LandedTable

# each has its Source as SOURCE
MODULES = {name: f"loaders.{name}.source" for name in SOURCES}


def find(name: str) -> "Source[Any]":
    """A source by its name. Raises UsageError for none."""
    source: Source[Any] = importlib.import_module(_find_module(name)).SOURCE
    return source


def find_operations(name: str) -> "Operations":
    """The operations of a source by its name. Raises UsageError for none."""
    operations: Operations = _import_beside(name, "operations").OPERATIONS
    return operations


def find_zone(name: str | None) -> str:
    """The time zone of a source's exchange; empty, that of this machine, for what is of no source.

    Rows of loads and jobs may name a source that this version does not know.
    """
    return find_operations(name).time_zone if name in MODULES else ""


def find_common_zone(names: Iterable[str | None]) -> str:
    """The time zone of all rows of a list: that of their exchanges.

    Empty where these have several, or the rows are of no source.
    """
    zones = {find_zone(name) for name in names} - {""}
    return zones.pop() if len(zones) == 1 else ""


def _import_beside(name: str, module: str) -> Any:
    """A further module of the source's folder."""
    folder = _find_module(name).rpartition(".")[0]
    return importlib.import_module(f"{folder}.{module}")


def _find_module(name: str) -> str:
    if name not in MODULES:
        raise UsageError(f"unknown source: {name}", hint=f"Choose one of: {', '.join(MODULES)}.")
    return MODULES[name]


def check(name: str, settings: "Settings", now: datetime) -> Iterator[Check]:
    """Ask a source whether it answers: a check with its figures, and one for each warning."""

    def ask() -> Iterator[Check]:
        asked = find(name).check(settings, now)
        yield replace(asked, verdict="ok", sentence=f"{name}: {asked.sentence}")
        for text in asked.figures["warnings"]:
            yield Check("service", "warn", text)

    return (replace(check, subject=name) for check in run_checks([("service", ask)]))


def configured(settings: "Settings") -> tuple[list[str], dict[str, str]]:
    """The sources whose settings are present, and why the others are skipped."""
    missing = {name: find_operations(name).missing(settings) for name in MODULES}
    ready = [name for name, why in missing.items() if why is None]
    return ready, {name: why for name, why in missing.items() if why is not None}


def describe_start(settings: "Settings", command: str) -> str:
    """The fix where nothing was loaded yet: `command`, or how to configure a source for it."""
    ready, _ = configured(settings)
    for setting in [f"{name}.{own}" for name in ready for own in find_operations(name).folders]:
        folder, origin = attrgetter(setting)(settings), settings.origin(setting)
        # one in the home is made by the first load
        if folder is not None and origin != "default" and not os.access(folder, os.R_OK):
            return f"Mount {folder}, or correct {setting} ({origin}), then {command}"
    if ready:
        return command
    file = find_file(settings)
    return f"Set tdx.client or tdx.base_url in {file}." if file else "quotemill init"


def check_first_load(settings: "Settings") -> Check:
    """The check of a home into which nothing was loaded yet."""
    fix = describe_start(settings, "quotemill run")
    return Check("load", "warn", "nothing was loaded yet", fix)


def explain_no_load(settings: "Settings") -> UsageError:
    """The error of a command about loads before the first."""
    return UsageError("nothing was loaded yet", hint=describe_start(settings, "quotemill run"))


def find_file(settings: "Settings") -> Path | None:
    """The quotemill.toml that settings go into, over which `quotemill init` would not write."""
    files = (find_files(os.environ, Path.cwd()), find_home_files(settings.home))
    return next((file.toml for file in files if file.toml.is_file()), None)


def dbt_settings(settings: "Settings") -> dict[str, str]:
    """The settings that dbt's models and macros read from ops.settings."""
    sources = [find_operations(name).dbt_settings(settings) for name in MODULES]
    return {k: v for part in (*sources, settings.timescale.stored()) for k, v in part.items()}


def landed_tables() -> list["LandedTable"]:
    """Every landed table of every source: a full build works for a user of one."""
    return [table for name in MODULES for table in _import_beside(name, "tables").TABLES]
