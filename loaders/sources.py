"""The sources of `loaders.settings.sections`, each a value of `loaders.engine.source.Source`."""

import importlib
from typing import TYPE_CHECKING, Any

from loaders.errors import UsageError
from loaders.settings.sections import SOURCES

if TYPE_CHECKING:
    from loaders.engine.source import Source
    from loaders.settings import Settings
    from loaders.warehouse.tables import LandedTable

# each has its Source as SOURCE
MODULES = {name: f"loaders.{name}.source" for name in SOURCES}


def find(name: str) -> "Source[Any]":
    """A source by its name. Raises UsageError for none."""
    if name not in MODULES:
        raise UsageError(f"unknown source {name}", hint=f"sources: {', '.join(MODULES)}")
    source: Source[Any] = importlib.import_module(MODULES[name]).SOURCE
    return source


def configured(settings: "Settings") -> tuple[list[str], dict[str, str]]:
    """The sources whose settings are present, and why the others are skipped."""
    missing = {name: find(name).missing(settings) for name in MODULES}
    ready = [name for name, why in missing.items() if why is None]
    return ready, {name: why for name, why in missing.items() if why is not None}


def dbt_settings(settings: "Settings") -> dict[str, str]:
    """The settings that dbt's models and macros read from ops.settings."""
    sources = {k: v for name in MODULES for k, v in find(name).dbt_settings(settings).items()}
    return {**sources, **settings.timescale.stored()}


def landed_tables() -> list["LandedTable"]:
    """Every landed table of every source: a full build works for a user of one."""
    return [table for name in MODULES for table in find(name).tables]
