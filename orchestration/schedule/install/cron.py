"""A crontab: one line that checks each minute.

Times, zones and calendars are left to `schedule run`: not every cron knows CRON_TZ, and none the
sessions of an exchange.
"""

import re
import shlex
from collections.abc import Iterator

from orchestration.schedule.install.place import MARK, Place

BEGIN, END = f"# {MARK} --cron: begin", "# quotemill: end"
_COMMAND = re.compile(r"\* \* \* \* \* cd (.+?) && QUOTEMILL_.* schedule run >> .+ 2>&1")


def block(place: Place) -> str:
    """Our lines of a crontab. In a command an unescaped % is the end of the line."""
    log = shlex.quote(str(place.log("cron")))
    variables = " ".join(f"{name}={shlex.quote(text)}" for name, text in place.environment.items())
    command = (
        f"cd {shlex.quote(str(place.folder))} && {variables} {shlex.quote(str(place.program))} "
        f"schedule run >> {log} 2>&1"
    ).replace("%", "\\%")
    return f"{BEGIN}\n* * * * * {command}\n{END}\n"


def merged(present: str, block: str) -> str:
    """A crontab with our lines replaced; every other line stays, also one between ours."""
    others = [line for line, is_ours in _lines(present) if not is_ours]
    return "".join(f"{line}\n" for line in others) + block


def folder_of(crontab: str) -> str | None:
    """The folder that our line works in, as a shell has it; None where there is no such line."""
    for line, is_ours in _lines(crontab):
        if is_ours and (match := _COMMAND.fullmatch(line)):
            return match[1].replace("\\%", "%")
    return None


def _lines(crontab: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether an install wrote it."""
    is_inside = False
    for line in crontab.removesuffix("\n").split("\n") if crontab else ():
        is_inside = line == BEGIN or (is_inside and line != END)
        yield line, line in (BEGIN, END) or (is_inside and _COMMAND.fullmatch(line) is not None)
