"""The registry of sources, and of the sections of the settings.

A section is named by its module and loaded when settings are read, so that settings know no source,
and nothing that is built upon the loaders.
"""

from importlib import import_module
from typing import Any

# a folder of `loaders` each
SOURCES = ("tdx", "tq", "ib")

# each module has the type of its section as SECTION
SECTIONS = {
    **{name: f"loaders.{name}.settings" for name in SOURCES},
    "questdb": "loaders.ticks.settings",
    "schedule": "orchestration.schedule.settings",
    "alerts": "orchestration.alerts.settings",
    "server": "loaders.warehouse.embedded.settings",
    "history": "loaders.landing.history_settings",
    "timescale": "loaders.warehouse.timescale_settings",
}


def section_types() -> dict[str, Any]:
    """The type of each section by its name: a Section, or a mapping of names to Sections."""
    return {name: import_module(module).SECTION for name, module in SECTIONS.items()}
