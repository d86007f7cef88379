"""A crontab: one line that looks each minute. Times, zones and calendars are `schedule run`'s, since the crons
differ: not all know CRON_TZ, and none the sessions of an exchange."""

import shlex

from orchestration.schedule.install.place import MARK, Place

BEGIN, END = f"# {MARK} --cron: begin", "# quotemill: end"


def block(place: Place) -> str:
    """Our lines of a crontab. In a command % means a line's end, unless it is escaped."""
    log = shlex.quote(str(place.log("cron")))
    variables = " ".join(f"{name}={shlex.quote(text)}" for name, text in place.environment.items())
    command = (
        f"cd {shlex.quote(str(place.folder))} && {variables} {shlex.quote(str(place.program))} "
        f"schedule run >> {log} 2>&1"
    ).replace("%", "\\%")
    return f"{BEGIN}\n* * * * * {command}\n{END}\n"


def merged(present: str, block: str) -> str:
    """A crontab with our lines in it, in place of those that were there."""
    kept, ours = [], False
    for line in present.splitlines():
        ours = ours or line == BEGIN
        if not ours:
            kept.append(line)
        ours = ours and line != END
    return "".join(f"{line}\n" for line in kept) + block
