"""Until when nothing is due, from the last check: cron's line checks each minute.

A check that finds nothing due writes that time into the home, and which jobs cannot be read. Until
then the next checks repeat that and end at once, without SQL and without importing the sources.
Other settings, another version and every command that changes a job end it early.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from loaders import log
from loaders.settings import Settings

if TYPE_CHECKING:
    from orchestration.schedule.jobs import Row

# a job that another machine enables or adds is seen within this time
LONGEST = timedelta(minutes=10)


@dataclass(frozen=True)
class Quiet:
    """Nothing is due; `wrong` are the exit codes of jobs that cannot be read, by message."""

    wrong: Mapping[str, int] = field(default_factory=dict)


def read(settings: Settings, now: datetime) -> Quiet | None:
    """What a check with these settings has stored of `now` (UTC); None: something may be due."""
    try:
        stored = json.loads(_file(settings.home).read_text())
        start, end = (datetime.fromisoformat(stored[name]) for name in ("from", "until"))
        if stored["settings"] != _digest(settings) or not start <= now < end:
            return None
        return Quiet({str(message): int(code) for message, code in stored["wrong"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def store(
    settings: Settings,
    rows: Iterable["Row"],
    now: datetime,
    wrong: Mapping[str, int] | None = None,
) -> None:
    """Store that nothing is due before the first of the next starts. Without a home: nothing.

    wrong: exit codes of jobs that cannot be read, by message
    """
    starts = [row.next_run_at for row in rows if row.is_enabled and row.next_run_at is not None]
    until = min([*starts, now + LONGEST])
    stored = {
        "settings": _digest(settings),
        "from": now.isoformat(),
        "until": until.isoformat(),
        "wrong": dict(wrong or {}),
    }
    file = _file(settings.home)
    fresh = file.with_suffix(".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(stored))
        fresh.replace(file)
    except OSError:  # a full disk: the next check asks again
        forget(settings.home)


def forget(home: Path) -> None:
    """Let the next check ask again."""
    try:
        _file(home).unlink(missing_ok=True)
    except OSError:
        return


def _file(home: Path) -> Path:
    return home / "schedule" / "quiet.json"


def _digest(settings: Settings) -> str:
    secrets = sorted(log.collect_secrets(settings))  # the warehouse's address is one
    text = f"{version('quotemill')} {settings.model_dump_json()} {secrets}"
    return hashlib.sha256(text.encode()).hexdigest()
