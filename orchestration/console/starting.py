"""Start commands for callers: which ones, and what became of them at once."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from loaders import sources
from loaders.engine import jobs
from orchestration.console.context import Console
from orchestration.console.processes import Command
from quotemill.errors import QuotemillError, SettingsError, UpstreamError, UsageError

WAIT = 30.0  # seconds until a load has its number; a first one makes the warehouse
# what a caller may start by its words, with the options that it takes: j is --json, a is --as-of
ALLOWED = {
    "quotemill run": "ja",
    "quotemill run SOURCE": "ja",
    "quotemill build": "j",
    "quotemill retry NUMBER": "ja",
    "quotemill doctor": "j",
    "quotemill reconcile": "ja",
    "quotemill selfcheck SOURCE": "a",
    "quotemill logscan SOURCE": "ja",
    "quotemill archive": "ja",
    "quotemill archive --compact": "ja",
    "quotemill retention": "ja",
    "quotemill backup": "j",
    "quotemill report": "ja",
    "quotemill alerts test": "j",
    "quotemill alerts check": "j",
    "quotemill warehouse migrate": "",
    "quotemill schedule enable NAME": "",
    "quotemill schedule disable NAME": "",
    "quotemill schedule run NAME --now": "a",
    "quotemill schedule install --systemd": "",
    "quotemill schedule install --cron": "",
    "quotemill schedule install --launchd": "",
    "loaders run SOURCE": "ja",
    "loaders retry NUMBER": "ja",
    "loaders check SOURCE": "ja",
    "loaders verify SOURCE": "j",
    "loaders selftest SOURCE": "ja",
}
_PARTS = {"NUMBER": r"[1-9][0-9]{0,17}", "NAME": r"[a-z][a-z0-9_]{0,62}", "SOURCE": r"[a-z]{1,20}"}


@dataclass(frozen=True)
class Started:
    """A command that was started; `job_id` once it loads, `note` where it had nothing to do."""

    command: Command
    job_id: int | None = None
    exit_code: int | None = None
    note: str = ""


def find_options(text: str) -> str | None:
    """The options that an allowed command takes; None for any other text."""
    words = text.split(" ")
    for template, options in ALLOWED.items():
        parts = template.split(" ")
        if len(parts) != len(words):
            continue
        if all(
            re.fullmatch(_PARTS.get(p, re.escape(p)), w) for p, w in zip(parts, words, strict=True)
        ):
            named = [w for p, w in zip(parts, words, strict=True) if p == "SOURCE"]
            return options if all(name in sources.MODULES for name in named) else None
    return None


def start_text(console: Console, text: str, origin: str) -> Command:
    """Start one of the allowed commands. Raises UsageError for any other."""
    options = find_options(text)
    if options is None:
        raise UsageError(f"the console cannot run `{text[:100]}`", hint="Run it in a terminal.")
    words = text.split(" ")
    return console.commands.start(add_options(console, words, options), origin)


def add_options(console: Console, words: Sequence[str], options: str) -> list[str]:
    as_of = ["--as-of", console.as_of] if "a" in options and console.as_of else []
    return [*words, *as_of, *(["--json"] if "j" in options else [])]


def start_load(console: Console, words: Sequence[str], origin: str) -> Started:
    """Start a command that loads, and wait for the number of its load, unless it runs already.

    Raises the error that it ended with before it had one.
    """
    asked_at = datetime.now(UTC)
    warehouse = console.find_warehouse()
    newest = warehouse.ask(jobs.newest_job, patient=False) if warehouse else 0
    command = console.commands.start(add_options(console, words, "ja"), origin)
    if command.started_at < asked_at:
        return Started(command)
    requested_by = jobs.requester(command.pid)

    def find_job() -> int | None:
        # it may be being made, or brought up to date by the command
        with contextlib.suppress(SettingsError, UpstreamError):
            made = console.find_warehouse()
            if made is not None:
                return made.ask(
                    lambda conn: jobs.find_job_by(conn, requested_by, newest), patient=False
                )
        return None

    job_id = console.commands.wait(command, find_job, WAIT)
    ending = console.commands.read_ending(command)
    if job_id is not None or ending is None:
        return Started(command, job_id)
    if ending.exit_code == 0:
        lines = console.commands.read_output(command).strip().splitlines()
        return Started(command, exit_code=0, note=lines[-1] if lines else "nothing was due")
    text = ending.error or f"`{command.text}` exited with {ending.exit_code}"
    error = QuotemillError(text, hint=ending.hint)
    error.exit_code = ending.exit_code if ending.exit_code is not None else 1
    raise error
