"""Pages of settings and schedules."""

import json
from collections.abc import Mapping
from inspect import getdoc
from typing import Any

from loaders.settings.sections import section_types
from orchestration.console.api.schedules import (
    describe_schedules,
    find_expected,
    read_listing,
)
from orchestration.console.api.settings import (
    DatabaseAnswer,
    SettingAnswer,
    describe_settings,
)
from orchestration.console.context import Console
from orchestration.console.pages.words import mark
from orchestration.schedule import ledger

NO_DATABASE = dict.fromkeys(DatabaseAnswer.model_fields)
# of self-tests: rule, text and its number
FREQUENCIES = {
    "off": (mark("off"), 0),
    **{f"every {n}m": (mark("every {n} min"), n) for n in (5, 15, 30)},
    **{f"every {n}h": (mark("every {n} h"), n) for n in (1, 6, 12)},
    "daily 09:30": (mark("daily, 09:30"), 0),
}
TOP = "quotemill"  # the settings outside of every section
ABOUT = {
    TOP: mark("General settings: home, warehouse, logs and backups."),
    "schedule": mark("Rules of scheduled jobs. You can change them on the Schedules page."),
}


def gather_settings(console: Console, section: str = "") -> Mapping[str, Any]:
    """Every setting by its section; the database by its parts."""
    shown = describe_settings(console, console.settings())
    sections: dict[str, list[Mapping[str, Any]]] = {}
    overruled = None
    for row in shown.settings:
        name = row.name.partition(".")[0] if "." in row.name else TOP
        sections.setdefault(name, []).append(_describe_row(row))
        if row.name == "warehouse_url":
            overruled = row.overruled_by
    return {
        "shown": shown,
        "database": shown.database.model_dump() if shown.database else NO_DATABASE,
        "warehouse_by": overruled,
        "sections": sections,
        "chosen": section,
        "about": {name: getdoc(kind) for name, kind in section_types().items()} | ABOUT,
    }


def _describe_row(row: SettingAnswer) -> Mapping[str, Any]:
    """A setting with its value as a field has it, and what that is read as."""
    value = row.value
    kind = "list" if isinstance(value, list) else ""
    if isinstance(value, int | float):
        kind = "bool" if isinstance(value, bool) else "number"
    own = {"kind": kind, "text": _write(value), "choices": list(map(_write, row.choices))}
    return row.model_dump() | own


def _write(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value) if isinstance(value, bool) else "" if value is None else str(value)


def gather_schedules(console: Console) -> Mapping[str, Any]:
    """The jobs; without what starts them, `install` is the command that does."""
    is_started = bool(find_expected(read_listing(console), console.now))
    return {
        "shown": describe_schedules(console),
        "frequencies": FREQUENCIES,
        "is_started": is_started,
        "install": ledger.name_install(),
    }
