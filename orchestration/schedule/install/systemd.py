"""A systemd unit that keeps `quotemill schedule serve` alive.

Timers of systemd know no session of an exchange, and a job of its own would need two files; the
serving process reads the rules of all jobs at each full minute.
"""

import re

from orchestration.schedule.install.place import MARK, Place

PREFIX = "quotemill-"
UNIT = f"{PREFIX}schedule.service"
_QUOTES = "'\"\\"


def unit(place: Place, *, is_system: bool) -> str:
    """The unit's text; `is_system`: of the system's manager, not of a user's."""
    log = _plain(place.log("serve"))
    environment = [f"{name}={value}" for name, value in place.environment.items()]
    lines = [
        f"# {MARK} --systemd; edits are lost.",
        "[Unit]",
        "Description=quotemill schedule",
        "",
        "[Service]",
        f"WorkingDirectory={_plain(place.folder)}",
        *(f"Environment={_word(text)}" for text in environment),
        f"ExecStart={_program(place)} schedule serve",
        "Restart=always",
        "# within systemd's limit of starts, so that it never gives up",
        "RestartSec=60",
        "# `schedule serve` ends its jobs; the embedded server that one may have started stays",
        "KillMode=process",
        "TimeoutStopSec=90",
        f"StandardOutput=append:{log}",
        f"StandardError=append:{log}",
        "",
        "[Install]",
        f"WantedBy={'multi-user' if is_system else 'default'}.target",
    ]
    return "\n".join([*lines, ""])


def folder_of(unit: str) -> str | None:
    """The folder that a unit works in; None of a timer, which older versions wrote."""
    match = re.search("^WorkingDirectory=(.+)$", unit, re.MULTILINE)
    return match[1].replace("%%", "%") if match else None


def _program(place: Place) -> str:
    """The program's path; behind `env` if it has characters that systemd refuses there."""
    return (
        f"{'/usr/bin/env ' if set(str(place.program)) & set(_QUOTES) else ''}{_word(place.program)}"
    )


def _plain(text: object) -> str:
    """A value to the end of its line: % begins a specifier."""
    return str(text).replace("%", "%%")


def _word(text: object) -> str:
    """One word of a command line or of an environment."""
    shown = _plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}"' if set(str(text)) & set(f" ;{_QUOTES}") else shown
